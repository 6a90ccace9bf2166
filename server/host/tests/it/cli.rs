//! The command line, as a child process.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{ChildNode, PASSWORD, TestCertificate, TestNode, Wire};

fn hongyan(arguments: &[&str], data: &Path, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hongyan"))
        .args(arguments)
        .arg("--data")
        .arg(data)
        .env("HONGYAN_STORE__FREE_MIB_MIN", "16")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses early closes its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A store as a first start makes it.
fn make_store(data: &Path) {
    assert!(ChildNode::start(data, &[]).terminate().success());
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn accounts_can_be_made_with_and_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let password = format!("{PASSWORD}\n");
    make_store(&data);
    let added = hongyan(&["user", "add", "ann"], &data, &password);
    assert!(added.status.success(), "{}", text(&added));
    let again = hongyan(&["user", "add", "ann"], &data, &password);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));

    let server = ChildNode::start(&data, &[]);
    let mut wire = Wire::connect(server.tcp);
    wire.hello("d");
    wire.login("ann").unwrap();
    let shown = hongyan(&["user", "show", "ann"], &data, "");
    assert!(text(&shown).contains("sessions      1"), "{}", text(&shown));
    let issued = hongyan(&["token", "issue", "ann"], &data, "");
    assert!(text(&issued).contains("access_token ey"), "{}", text(&issued));
    let kicked = hongyan(&["user", "kick", "ann"], &data, "");
    assert!(kicked.status.success(), "{}", text(&kicked));
    wire.goodbye();
    let busy = hongyan(&["audit", data.to_str().unwrap()], &data, "");
    assert_eq!(busy.status.code(), Some(74), "{}", text(&busy));
    assert!(server.terminate().success());

    for command in ["check", "audit"] {
        let output = hongyan(&[command, data.to_str().unwrap()], &data, "");
        assert!(output.status.success(), "{command}: {}", text(&output));
    }
}

#[test]
fn an_audit_of_a_lively_store_finds_nothing() {
    let mut test = TestNode::start();
    let (mut ann, mut bob) = (test.connect(), test.connect());
    ann.hello("a");
    bob.hello("b");
    let chat = crate::support::direct(ann.register("ann").user_id, bob.register("bob").user_id);
    for number in 0..200 {
        let wire = if number % 3 == 0 { &mut bob } else { &mut ann };
        wire.say(&chat, &"m".repeat(100 + number)).unwrap();
        if number % 50 == 0 {
            assert!(test.handle().settle());
        }
    }
    drop((ann, bob));
    test.stop();
    let data = test.dir.path().join("data");
    let output = hongyan(&["audit", data.to_str().unwrap()], &data, "");
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("2 accounts, 1 conversations, 200 messages"),
        "{}",
        text(&output)
    );
}

#[test]
fn exit_codes_say_what_kind_of_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("none");
    let code = |arguments: &[&str]| hongyan(arguments, &data, "").status.code();
    assert_eq!(code(&["nonsense"]), Some(64));
    assert_eq!(code(&["check", data.to_str().unwrap()]), Some(64));
    assert_eq!(code(&["audit", data.to_str().unwrap()]), Some(64));
    assert_eq!(code(&["config", "check"]), Some(0));
    assert_eq!(code(&["version"]), Some(0));
    let bad = directory.path().join("bad.toml");
    std::fs::write(&bad, "[listen]\nnonsense = 1\n").unwrap();
    assert_eq!(code(&["config", "check", "--config", bad.to_str().unwrap()]), Some(78));
    std::fs::write(&bad, "[listen]\ntcp = \"0.0.0.0:5100\"\n").unwrap();
    assert_eq!(code(&["serve", "--config", bad.to_str().unwrap()]), Some(78));
}

#[test]
fn a_variable_that_sets_nothing_stops_every_command_that_reads_settings() {
    use std::os::unix::ffi::OsStrExt;
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], variable: &str, value: &[u8]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
        command.args(arguments).arg("--data").arg(directory.path().join("none"));
        command.env(variable, std::ffi::OsStr::from_bytes(value)).output().unwrap()
    };
    for arguments in [&["config", "check"][..], &["config", "print"], &["serve"]] {
        let output = run(arguments, "HONGYAN_LISTEN_TCP", b"127.0.0.1:0");
        assert_eq!(output.status.code(), Some(78), "{}", text(&output));
        assert!(text(&output).contains("did you mean HONGYAN_LISTEN__TCP"), "{}", text(&output));
    }
    let output = run(&["config", "check"], "HONGYAN_STORE__DIR", b"data/\xff");
    assert_eq!(output.status.code(), Some(78), "{}", text(&output));
    assert!(text(&output).contains("HONGYAN_STORE__DIR: is not UTF-8"), "{}", text(&output));
    let output = run(&["config", "check"], "HONGYAN_VECTORS", b"anything");
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_damaged_store_is_refused_with_78() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    make_store(&data);
    std::fs::write(data.join("identity"), "hongyan-store 1 segment 00 00\n").unwrap();
    let served = hongyan(&["user", "show", "ann"], &data, "");
    assert_eq!(served.status.code(), Some(78), "{}", text(&served));
    assert!(text(&served).contains("identity"), "{}", text(&served));
    std::fs::remove_file(data.join("identity")).unwrap();
    let served = hongyan(&["user", "show", "ann"], &data, "");
    assert_eq!(served.status.code(), Some(78), "{}", text(&served));
}

#[test]
fn what_the_check_of_the_settings_takes_the_server_takes() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    TestCertificate::write(directory.path());
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (chain, key) = (path("cert.pem"), path("key.pem"));
    std::fs::write(path("shown.key"), "q8Zr2-vT5xW1nB7mK4jH9gF3dS6aP0oL\n").unwrap();
    std::fs::set_permissions(path("shown.key"), PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(path("none.json"), r#"{"keys":[]}"#).unwrap();
    std::fs::write(path("not.json"), "keys").unwrap();
    let tls = |chain: &str, key: &str| {
        format!("[listen]\ntls = \"127.0.0.1:0\"\ntls_certificate = {chain:?}\ntls_key = {key:?}\n")
    };
    let issuer = |file: &str| {
        let file = path(file);
        format!("[auth.external]\nissuer = \"i\"\naudience = \"a\"\njwks_file = {file:?}\n")
    };
    for (settings, said) in [
        (format!("[auth]\ntoken_key_file = {:?}\n", path("shown.key")), "shown.key"),
        (format!("[auth]\ntoken_key_file = {:?}\n", path("no/key")), "no/key"),
        (tls(&path("missing.pem"), &key), "missing.pem"),
        (tls(&chain, &path("missing.pem")), "missing.pem"),
        (tls(&chain, &chain), "cert.pem"),
        (issuer("missing.json"), "missing.json"),
        (issuer("not.json"), "not.json"),
        (issuer("none.json"), "none.json"),
        ("[log]\nlevel = \"inof\"\n".to_owned(), "log.level"),
    ] {
        let file = path("c.toml");
        std::fs::write(&file, &settings).unwrap();
        for command in [&["config", "check", "--config", &file][..], &["serve", "--config", &file]]
        {
            let output = hongyan(command, &data, "");
            assert_eq!(output.status.code(), Some(78), "{settings}: {}", text(&output));
            assert!(text(&output).contains(said), "{settings}: {}", text(&output));
        }
        assert!(!data.exists(), "{settings}");
    }
    let file = path("c.toml");
    std::fs::write(&file, tls(&chain, &key)).unwrap();
    let output = hongyan(&["config", "check", "--config", &file], &data, "");
    assert!(output.status.success(), "{}", text(&output));
    assert!(!data.exists());
}

#[test]
fn nobody_else_may_read_what_a_server_keeps() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let listed = |dir: &Path| {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    make_store(&data);
    for path in listed(&data) {
        let readable = if path.is_dir() { 0o755 } else { 0o644 };
        // The server refuses a key that others can read.
        if !path.ends_with("token.key") {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(readable)).unwrap();
        }
    }
    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o755)).unwrap();
    let server = ChildNode::start(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    let mut files = 0;
    for path in listed(&data) {
        if path.is_dir() {
            assert_eq!(mode(&path), 0o700, "{}", path.display());
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 5, "{files}");
    assert!(server.terminate().success());
    // What sled writes at its end, by the mask of the process.
    for path in listed(&data.join("views")).iter().filter(|path| path.is_file()) {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_mistaken_directory_does_not_become_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let (missing, empty) = (directory.path().join("none"), directory.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    for data in [&missing, &empty] {
        for arguments in [
            &["user", "add", "ann"][..],
            &["user", "show", "ann"],
            &["token", "issue", "ann"],
            &["audit", data.to_str().unwrap()],
        ] {
            let output = hongyan(arguments, data, &format!("{PASSWORD}\n"));
            assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output));
            assert!(text(&output).contains("there is no store in"), "{}", text(&output));
        }
    }
    assert!(!missing.exists());
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn a_server_that_cannot_serve_makes_no_store() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let key = directory.path().join("shown.key");
    std::fs::write(&key, "q8Zr2-vT5xW1nB7mK4jH9gF3dS6aP0oL\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let nowhere = directory.path().join("nowhere").join("some.file");
    let (key, nowhere) = (key.to_str().unwrap(), nowhere.to_str().unwrap());
    let tls = [("LISTEN__TLS", "127.0.0.1:0"), ("LISTEN__TLS_KEY", nowhere)];
    for (code, variables) in [
        (74, vec![("LISTEN__TCP", &*taken)]),
        (74, vec![("ADMIN__LISTEN", &*taken)]),
        (74, vec![("WEBSOCKET__LISTEN", &*taken)]),
        (78, vec![("AUTH__TOKEN_KEY_FILE", key)]),
        (78, vec![("AUTH__TOKEN_KEY_FILE", nowhere)]),
        (78, [&tls[..], &[("LISTEN__TLS_CERTIFICATE", nowhere)]].concat()),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
        command
            .env("HONGYAN_LISTEN__TCP", "127.0.0.1:0")
            .env("HONGYAN_WEBSOCKET__LISTEN", "127.0.0.1:0")
            .env("HONGYAN_ADMIN__LISTEN", "");
        for (name, value) in &variables {
            command.env(format!("HONGYAN_{name}"), value);
        }
        let output = command.arg("serve").arg("--data").arg(&data).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{variables:?}: {}", text(&output));
        assert!(!data.exists(), "{variables:?}");
    }
    drop(held);
}
