//! A bot that says everything back, also what it missed while it was away:
//! its tokens, outbox and place in each conversation are in a directory.
//!
//! `cargo run -p hongyan-client --example bot_echo -- 127.0.0.1:5100 echo-bot ./echo-bot`

use hongyan_client::{
    Client, ClientError, Credentials, ErrorCode, Event, EventError, FileLocalStore, pb,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:5100".into());
    let name = arguments.next().unwrap_or_else(|| "echo-bot".into());
    let directory = arguments.next().unwrap_or_else(|| "./echo-bot".into());
    let store =
        FileLocalStore::open(directory).map_err(|error| ClientError::Storage(error.to_string()))?;
    let client = Client::builder(address)
        .plaintext()
        .device(pb::DeviceClass::Bot, "echo bot")
        .store(store)
        .build()
        .await?;
    // Before connecting, so that nothing missed is missed again.
    let mut events = client.events();
    if client.account().is_none() {
        let password = "a long password".to_owned();
        let display_name = "Echo".to_owned();
        let made = client
            .authenticate(Credentials::Register {
                name: name.clone(),
                password: password.clone(),
                display_name,
            })
            .await;
        match made {
            Err(error) if error.is(ErrorCode::NameTaken) => client.login(&name, &password).await?,
            result => result?,
        };
    }
    println!("write to {name}");
    loop {
        match events.recv().await {
            Ok(Event::Message(message)) => {
                let mine = message.sender == client.account().map(|account| account.user);
                if let (false, Some(text)) = (mine, message.body.text()) {
                    client.mark_read(message.conversation, message.seq).await?;
                    client.send_text(message.conversation, format!("you said: {text}")).await?;
                }
            }
            Ok(Event::StatusChanged(status)) => println!("{status:?}"),
            Ok(_) => {}
            Err(EventError::Lagged(dropped)) => println!("{dropped} events were too many"),
            Err(_) => return Ok(()),
        }
    }
}
