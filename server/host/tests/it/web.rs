//! The web app as files, and what a browser is told with them.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{ChildNode, PATIENCE, TestNode};

/// A small app as a bundler leaves it.
fn site(dir: &Path) {
    let write = |name: &str, text: &str| {
        let file = dir.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("index.html", "<html><script>alert(1)</script>the app</html>");
    write("assets/index-BpX3k9_a.js", "the script");
    write("assets/style-BpX3k9_a.css", "the style");
    write("static/logo.png", "a picture");
    write(".env", "hidden");
    write("assets/.map", "hidden");
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}

fn start(dir: &Path) -> TestNode {
    site(dir);
    TestNode::start_with(|raw| {
        raw.web.dir = dir.display().to_string();
        raw.web.listen = "127.0.0.1:0".into();
    })
}

#[test]
fn files_come_with_their_types_and_go_into_caches() {
    let dir = tempfile::tempdir().unwrap();
    let test = start(dir.path());
    let web = test.handle().web_addr().unwrap();
    for (path, kind, cache, body) in [
        ("/", "text/html", "no-cache", "the app"),
        ("/index.html", "text/html", "no-cache", "the app"),
        ("/chat/17", "text/html", "no-cache", "the app"),
        ("/assets/index-BpX3k9_a.js", "text/javascript", "immutable", "the script"),
        ("/assets/style-BpX3k9_a.css", "text/css", "immutable", "the style"),
        ("/static/logo.png", "image/png", "no-cache", "a picture"),
    ] {
        let answer = ask(web, "GET", path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.headers["content-type"].starts_with(kind), "{path}: {:?}", answer.headers);
        assert!(answer.headers["cache-control"].contains(cache), "{path}: {:?}", answer.headers);
        assert!(answer.body.contains(body), "{path}: {}", answer.body);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.contains("connect-src 'self' ws: wss:"), "{policy}");
        assert!(policy.contains("script-src 'self' 'sha256-"), "{policy}");
        assert_eq!(ask(web, "HEAD", path).status, 200, "{path}");
    }
}

#[test]
fn nothing_else_is_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app");
    let test = start(&app);
    std::fs::write(dir.path().join("secret.txt"), "secret").unwrap();
    let web = test.handle().web_addr().unwrap();
    for path in [
        "/missing.js",
        "/assets/index-00000000.js",
        "/.env",
        "/%2eenv",
        "/assets/.map",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "//secret.txt",
        "/assets//../../secret.txt",
    ] {
        let answer = ask(web, "GET", path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert!(!answer.body.contains("secret") && !answer.body.contains("hidden"), "{path}");
        assert_eq!(answer.headers["cache-control"], "no-cache", "{path}");
    }
    // A folder is not listed: it is one of the app's own routes.
    assert!(ask(web, "GET", "/assets/").body.contains("the app"));
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(ask(web, method, "/").status, 405, "{method}");
    }
}

#[test]
fn a_page_is_told_where_the_websocket_is() {
    let dir = tempfile::tempdir().unwrap();
    let test = start(dir.path());
    let ask = |test: &TestNode| {
        let answer = ask(test.handle().web_addr().unwrap(), "GET", "/hongyan.json");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["cache-control"], "no-cache");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    let port = test.handle().ws_addr().unwrap().port();
    let expected = json!({"websocket": {"port": port, "path": "/ws", "tls": false}});
    assert_eq!(ask(&test), expected);
    drop(test);
    let without = TestNode::start_with(|raw| {
        raw.web.dir = dir.path().display().to_string();
        raw.web.listen = "127.0.0.1:0".into();
        (raw.websocket.listen, raw.websocket.tls) = (String::new(), String::new());
    });
    assert_eq!(ask(&without), json!({"websocket": null}));
}

#[test]
fn one_flag_serves_it_and_the_address_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let (app, data) = (dir.path().join("app"), dir.path().join("data"));
    let serve = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
        command.args(["serve", "--web"]).arg(&app);
        command
    };
    // Without an app there is nothing to serve, and no store is made.
    let mut command = serve();
    command.env("HONGYAN_STORE__DIR", &data);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("web.dir") && text.contains("index.html"), "{text}");
    assert!(!data.exists());
    site(&app);
    let server = ChildNode::spawn(serve(), &data, &[("HONGYAN_WEB__LISTEN", "127.0.0.1:0")]);
    let said = server.greeting();
    let line = said.lines().find(|line| line.contains("browser")).unwrap();
    let address = line.rsplit_once("http://").unwrap().1.parse().unwrap();
    assert!(ask(address, "GET", "/").body.contains("the app"));
    assert!(server.terminate().success());
}
