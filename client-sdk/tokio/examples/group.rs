//! A group of three: made, talked in, renamed by another, left.
//!
//! `cargo run -p hongyan-client --example group -- 127.0.0.1:5100`

use hongyan_client::{Client, ClientError, ErrorCode, pb};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5100".into());
    let mut people = Vec::new();
    for name in ["ann-group", "ben-group", "cat-group"] {
        people.push(sign_in(&address, name).await?);
    }
    let mut users = Vec::new();
    for client in &people[1..] {
        users.extend(client.account().map(|account| account.user));
    }
    let group = people[0].create_group("an outing", &users, true).await?;
    println!("{} has {} members", group.name, group.member_count);
    let chat = group.conversation();
    people[0].set_role(group.id, users[0], pb::Role::Admin).await?;
    for (client, text) in people.iter().zip(["where to?", "the lake", "the hills"]) {
        client.send_text(chat, text).await?.wait().await?;
    }
    let mut timeline = people[0].timeline(chat).await?;
    let view = timeline
        .wait_for(|view| view.messages.iter().filter(|m| m.body.text().is_some()).count() >= 3)
        .await?;
    for message in &view.messages {
        // Asked once for each person, then known.
        let sender = match message.sender {
            Some(user) => people[0].profile(user).await?.name,
            None => "the server".into(),
        };
        println!("{:>3} {sender}: {:?}", message.seq, message.body);
    }
    // An admin gives it another name: everybody sees it, without asking.
    people[1].update_group(group.id, Some("the lake"), None).await?;
    let mut list = people[0].conversations();
    let renamed =
        list.wait_for(|list| list.iter().any(|it| it.id == chat && it.title() == "the lake"));
    renamed.await.map_err(|_| ClientError::Closed)?;
    println!("it is called \"the lake\" now");
    people[2].leave_group(group.id).await?;
    let left = people[2].conversation(chat).is_some_and(|state| state.gone);
    let members = people[0].group_members(group.id, None, 0).await?;
    println!("cat left: {left}; {} are there still", members.members.len());
    for client in people {
        client.shutdown().await;
    }
    Ok(())
}

async fn sign_in(address: &str, name: &str) -> Result<Client, ClientError> {
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
