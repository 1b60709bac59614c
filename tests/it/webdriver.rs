//! A real Chromium, driven by chromedriver over plain HTTP: the few WebDriver commands that tests need.
//!
//! Both end with this process whatever ends it: a guard kills their process group when our end of its input closes.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use haldane::kafka::clock::now;
use serde_json::{Value, json};

/// What a page may take to become what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The key that stands for an element in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys as WebDriver knows them.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// A browser with one window.
pub(crate) struct Browser {
    driver: SocketAddr,
    session: String,
    /// Lives as long as our end of its standard input.
    _guard: Child,
}

impl Browser {
    /// # Panics
    /// With one line that names the packages where they are missing.
    pub(crate) fn start() -> Self {
        let (guard, driver) = guard().unwrap_or_else(|reason| panic!("no browser to test with: {reason}"));
        let mut browser = Self { driver, session: String::new(), _guard: guard };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
        ];
        let wanted = json!({
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "binary": path_of("chromium"), "args": arguments },
        });
        let made = browser.send("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        made["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        browser.post("timeouts", &json!({ "script": PATIENCE.as_millis(), "pageLoad": PATIENCE.as_millis() }));
        browser
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        self.send("POST", &format!("/session/{}/{command}", self.session), body)
    }

    /// # Panics
    /// When chromedriver answers with an error.
    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        self.answer(method, path, body).unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    /// What chromedriver answers, or its complaint.
    fn answer(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let mut stream = TcpStream::connect(self.driver).expect("chromedriver listens");
        stream.set_read_timeout(Some(2 * PATIENCE)).expect("a timeout");
        let body = body.to_string();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.driver);
        write!(request, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        stream.write_all(request.as_bytes()).expect("chromedriver reads");
        let (status, answer) = read(stream);
        let value = answer["value"].clone();
        if status == 200 { Ok(value) } else { Err(format!("{} {}", value["error"], value["message"])) }
    }

    /// Loads a page.
    pub(crate) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// Forgets every cookie of the page's host: cookies do not know ports.
    pub(crate) fn forget(&self) {
        self.send("DELETE", &format!("/session/{}/cookie", self.session), &json!({}));
    }

    /// The result of a script; `return` it.
    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Waits until an expression about the page is true, as soon as the page changes, also into another page.
    pub(crate) fn until(&self, condition: &str) {
        let script = format!(
            "const done = arguments[0]; const holds = () => {condition};
             if (holds()) return done(true);
             new MutationObserver((_, watch) => {{ if (holds()) {{ watch.disconnect(); done(true); }} }})
               .observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});"
        );
        let path = format!("/session/{}/execute/async", self.session);
        let body = json!({ "script": script, "args": [] });
        let deadline = now() + PATIENCE;
        // An error means that the page which was watched has gone: the next one is watched from its beginning.
        while let Err(error) = self.answer("POST", &path, &body) {
            assert!(now() < deadline, "{condition}: {error}, on the page {}", self.text());
        }
    }

    /// What a person reads on the page.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText", &[]).as_str().unwrap_or_default().to_owned()
    }

    fn find(&self, selector: &str) -> String {
        let found = self.post("element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// Clicks on an element, and waits for the page that this leads to.
    pub(crate) fn click(&self, selector: &str) {
        self.post(&format!("element/{}/click", self.find(selector)), &json!({}));
    }

    /// Types into an element.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        self.post(&format!("element/{}/value", self.find(selector)), &json!({ "text": text }));
    }

    /// Presses keys, wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let presses = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })));
        let actions = [json!({ "type": "key", "id": "keyboard", "actions": presses.collect::<Vec<_>>() })];
        self.post("actions", &json!({ "actions": actions }));
    }

    /// A command of the Chrome DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What the console has said since the last look.
    pub(crate) fn console(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({ "type": "browser" }));
        log.as_array().into_iter().flatten().map(|line| format!("{}: {}", line["level"], line["message"])).collect()
    }

    /// A picture of what is in the window, as a PNG file.
    pub(crate) fn picture(&self, path: &std::path::Path) {
        let shot = self.devtools("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }));
        let data = shot["data"].as_str().expect("a picture");
        let url = json!(format!("data:image/png;base64,{data}"));
        let bytes = self.run("return Array.from(atob(arguments[0].split(',')[1]), (c) => c.charCodeAt(0))", &[url]);
        let bytes: Vec<u8> = serde_json::from_value(bytes).expect("bytes");
        std::fs::write(path, bytes).expect("a writable file");
    }
}

/// Status and JSON of an HTTP answer.
fn read(stream: TcpStream) -> (u16, Value) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().expect("a length");
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a whole body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Where a program is.
fn path_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.exists())
}

/// Starts chromedriver below a shell that waits for the end of its input, then kills everything and removes its folder.
fn guard() -> Result<(Child, SocketAddr), String> {
    const SCRIPT: &str = r#"home=$(mktemp -d); TMPDIR=$home HOME=$home setsid "$@" 2>&1 & pid=$!; read -r _; kill -9 -$pid; wait $pid; rm -rf "$home""#;
    for program in ["chromium", "chromedriver"] {
        path_of(program)
            .ok_or_else(|| format!("`{program}` is not installed: apt-get install chromium chromium-driver"))?;
    }
    let mut guard = Command::new("sh")
        .args(["-c", SCRIPT, "guard", "chromedriver", "--port=0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run sh: {error}"))?;
    let said = BufReader::new(guard.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let port = said.filter_map(|line| line.rsplit_once("on port ")?.1.trim_end_matches('.').parse::<u16>().ok());
    let port = port.into_iter().find(|port| *port > 0).ok_or("chromedriver does not start")?;
    Ok((guard, SocketAddr::from(([127, 0, 0, 1], port))))
}
