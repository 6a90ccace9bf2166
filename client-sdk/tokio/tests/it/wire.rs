//! The raw connection.

use std::time::Duration;

use hongyan_client::wire::RawConnection;
use hongyan_client::{ClientError, ErrorCode, Opcode, pb};
use hongyan_protocol::Frame;

use crate::peer::Peer;

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it happens in time")
}

#[tokio::test]
async fn frames_go_as_they_are() {
    let peer = Peer::start().await;
    let address = peer.address.to_string();
    let mut raw = within(RawConnection::connect(&address)).await.expect("it connects");
    let welcome = within(raw.hello("device", "", None)).await.expect("it is welcome");
    assert_eq!(welcome.heartbeat_ms, 30_000);
    let early = within(raw.request::<pb::Devices>(Opcode::ListDevices, &pb::ListDevices {})).await;
    assert!(early.expect_err("there is no session").is(ErrorCode::OutOfOrder));
    let register =
        pb::Register { name: "raw".into(), password: "password".into(), ..Default::default() };
    let session: pb::Session =
        within(raw.request(Opcode::Register, &register)).await.expect("the name is free");
    assert_eq!(session.name, "raw");
    within(raw.send_frame(&Frame::HEARTBEAT)).await.expect("it is open");
    assert!(within(raw.recv_frame()).await.expect("it is answered").is_heartbeat());
    let first = raw.queue_request(Opcode::FindUser, &pb::FindUser { name: "raw".into() });
    let second = raw.queue_request(Opcode::FindUser, &pb::FindUser { name: "no".into() });
    within(raw.flush()).await.expect("it is open");
    let replies = [within(raw.recv_frame()).await, within(raw.recv_frame()).await];
    let ids: Vec<_> = replies.into_iter().flatten().map(|frame| frame.request).collect();
    assert_eq!(ids, [first, second]);
    peer.goodbye(ErrorCode::GoingAway, 5);
    let goodbye = within(raw.recv_to_end()).await.expect("frames are valid");
    assert_eq!(goodbye.map(|goodbye| goodbye.reconnect_after_ms), Some(5));
    assert_eq!(within(raw.recv_frame()).await, Err(ClientError::Closed));
}

#[tokio::test]
async fn a_wrong_preface_can_be_sent() {
    let peer = Peer::start().await;
    let address = peer.address.to_string();
    let raw = within(RawConnection::connect_without_preface(&address)).await;
    let mut raw = raw.expect("it connects");
    within(raw.send_raw(b"GET / HTTP/1.1\r\n")).await.expect("it is open");
    assert_eq!(within(raw.recv_raw()).await, Err(ClientError::Closed));
}
