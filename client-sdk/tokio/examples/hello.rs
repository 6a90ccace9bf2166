//! Two people chat: registers both, says hello, and shows how far it got.
//!
//! `cargo run -p hongyan-client --example hello -- 127.0.0.1:5100`

use hongyan_client::{Client, ClientError, ErrorCode, Event, SendState};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5100".into());
    let alice = sign_in(&address, "alice-hello").await?;
    let bob = sign_in(&address, "bob-hello").await?;
    let mut heard = bob.events();

    let to_bob = alice.find_user("bob-hello").await?;
    let chat = alice.direct(to_bob.user)?;
    let mut sent = alice.send_text(chat, "hello, bob").await?;
    println!("alice: hello, bob  (kept on this device)");
    println!("       stored by the server as number {}", sent.wait().await?.seq);

    while let Ok(event) = heard.recv().await {
        if let Event::Message(message) = event {
            println!("bob heard: {}", message.body.text().unwrap_or("something newer"));
            bob.mark_read(message.conversation, message.seq).await?;
            break;
        }
    }
    while sent.state() != SendState::Read {
        if sent.next_state().await.is_none() {
            break;
        }
        println!("       {:?}", sent.state());
    }
    alice.shutdown().await;
    bob.shutdown().await;
    Ok(())
}

async fn sign_in(address: &str, name: &str) -> Result<Client, ClientError> {
    // The server that a newcomer starts listens without TLS on this machine.
    let client = Client::builder(address).plaintext().build().await?;
    match client.register(name, "a long password", "").await {
        Err(error) if error.is(ErrorCode::NameTaken) => {
            client.login(name, "a long password").await?;
        }
        result => {
            result?;
        }
    }
    client.wait_live().await?;
    Ok(client)
}
