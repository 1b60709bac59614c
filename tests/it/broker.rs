//! A real Apache Kafka for tests and benches: one node on loopback, fetched by Maven at first use, started once per
//! process, and ended with the process whatever ends it.
//!
//! `HALDANE_TEST_BOOTSTRAP` names a running cluster to use instead; `HALDANE_CACHE` moves the place of the fetched
//! files.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use haldane::event::SECOND;
use haldane::kafka::clock::{now, wall_clock};
use openssl::base64::encode_block;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const VERSION: &str = "4.3.1";
/// Password of the user `haldane` at the login listener.
pub(crate) const PASSWORD: &str = "correct-horse";
/// Memory for objects of a node.
const HEAP: &str = "-Xmx512m";
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// A running cluster.
pub(crate) struct Broker {
    /// Address to connect to.
    pub(crate) bootstrap: String,
    /// Address where the user `haldane` logs in with [`PASSWORD`]; a given cluster has none.
    pub(crate) login: Option<String>,
    /// Where a token logs in.
    pub(crate) token: Option<TokenLogin>,
    /// Distinguishes topics of this run from those of others on a shared cluster.
    run: u32,
    topics: AtomicU32,
    /// The guard lives as long as our end of its standard input; the kernel closes that when this process ends.
    _guard: Option<Child>,
}

/// Where whoever has a token that this key has signed logs in, as whom the token says.
pub(crate) struct TokenLogin {
    pub(crate) address: String,
    key: PKey<Private>,
}

impl TokenLogin {
    /// A token for somebody, good for so many seconds (RFC 7519, RS256).
    pub(crate) fn token(&self, name: &str, seconds: i64) -> String {
        let now = wall_clock() / SECOND;
        let claims = format!(r#"{{"sub":"{name}","iat":{now},"exp":{}}}"#, now + seconds);
        let text = format!("{}.{}", encoded(br#"{"alg":"RS256","kid":"test"}"#), encoded(claims.as_bytes()));
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).expect("a key of RSA");
        let signature = signer.sign_oneshot_to_vec(text.as_bytes()).expect("a signature");
        format!("{text}.{}", encoded(&signature))
    }
}

/// As tokens and their keys are written (RFC 4648, section 5).
fn encoded(bytes: &[u8]) -> String {
    encode_block(bytes).replace('+', "-").replace('/', "_").replace('=', "")
}

/// Makes a key, and writes what brokers check tokens with (RFC 7517).
fn token_key(file: &Path) -> Result<PKey<Private>, String> {
    let key = Rsa::generate(2_048).map_err(|error| error.to_string())?;
    let (n, e) = (encoded(&key.n().to_vec()), encoded(&key.e().to_vec()));
    let keys = format!(r#"{{"keys":[{{"kty":"RSA","kid":"test","alg":"RS256","use":"sig","n":"{n}","e":"{e}"}}]}}"#);
    fs::write(file, keys).map_err(|error| error.to_string())?;
    PKey::from_rsa(key).map_err(|error| error.to_string())
}

impl Broker {
    /// The broker of this process; started at first use.
    ///
    /// # Panics
    /// With one line that says what is missing.
    pub(crate) fn shared() -> &'static Self {
        static BROKER: OnceLock<Broker> = OnceLock::new();
        BROKER.get_or_init(|| Self::obtain().unwrap_or_else(|reason| panic!("no Kafka to test with: {reason}")))
    }

    fn obtain() -> Result<Self, String> {
        let broker = match std::env::var("HALDANE_TEST_BOOTSTRAP") {
            Ok(bootstrap) => Self::at(bootstrap, None, None, None),
            Err(_) => start(&jars()?)?,
        };
        await_metadata(&broker.bootstrap, 1)?;
        Ok(broker)
    }

    fn at(bootstrap: String, login: Option<String>, token: Option<TokenLogin>, guard: Option<Child>) -> Self {
        Self { bootstrap, login, token, run: std::process::id(), topics: AtomicU32::new(0), _guard: guard }
    }

    /// Makes a topic of a name no other test has.
    pub(crate) fn topic(&self, prefix: &str, partitions: i32) -> String {
        self.topic_with(prefix, partitions, &[])
    }

    /// A name no other test has; no topic is made.
    pub(crate) fn name(&self, prefix: &str) -> String {
        format!("{prefix}.{}.{}", self.run, self.topics.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a topic with settings of its own.
    pub(crate) fn topic_with(&self, prefix: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
        let name = self.name(prefix);
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let results = block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("create topic");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        await_topic(&admin, &name, partitions);
        name
    }

    /// Deletes the records before an offset, as a topic's retention does.
    pub(crate) fn cut(&self, topic: &str, first: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, 0, Offset::Offset(first)).expect("an offset");
        block_on(admin.delete_records(&before, &AdminOptions::new())).expect("delete records");
    }

    /// Changes settings of a topic.
    pub(crate) fn alter(&self, topic: &str, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let wanted =
            AlterConfig { specifier: ResourceSpecifier::Topic(topic), entries: settings.iter().copied().collect() };
        let results = block_on(admin.alter_configs([&wanted], &AdminOptions::new())).expect("alter a topic");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    /// Deletes a topic, and makes one of its name.
    pub(crate) fn make_anew(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let results = block_on(admin.delete_topics(&[topic], &AdminOptions::new())).expect("delete a topic");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let deadline = now() + START_TIMEOUT;
        let again = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        // Its name is free a moment later.
        while !block_on(admin.create_topics([&again], &AdminOptions::new()))
            .expect("create topic")
            .iter()
            .all(Result::is_ok)
        {
            assert!(now() < deadline, "topic {topic} cannot be made anew");
        }
        await_topic(&admin, topic, partitions);
    }

    /// Gives a topic so many partitions.
    pub(crate) fn grow(&self, topic: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let wanted = NewPartitions::new(topic, partitions);
        let results = block_on(admin.create_partitions([&wanted], &AdminOptions::new())).expect("create partitions");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    /// A client configuration with nothing but the address.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("allow.auto.create.topics", "false");
        config
    }
}

/// The folder with Kafka's jars, fetched when it is not there yet. Test processes that start together fetch once.
pub(crate) fn jars() -> Result<PathBuf, String> {
    let home = cache()?.join(format!("kafka-{VERSION}"));
    fs::create_dir_all(&home).map_err(|error| format!("cannot make {}: {error}", home.display()))?;
    let lock = File::create(home.join("lock")).map_err(|error| format!("cannot lock {}: {error}", home.display()))?;
    lock.lock().map_err(|error| format!("cannot lock {}: {error}", home.display()))?;
    let libs = home.join("libs");
    if !libs.is_dir() {
        fetch(&home, &libs)?;
    }
    Ok(libs)
}

fn cache() -> Result<PathBuf, String> {
    let given = std::env::var_os("HALDANE_CACHE").map(PathBuf::from);
    given
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache/haldane")))
        .ok_or_else(|| "set HALDANE_CACHE to a folder for Kafka's jars".to_owned())
}

fn fetch(home: &Path, libs: &Path) -> Result<(), String> {
    let partial = home.join("libs.partial");
    let _ = fs::remove_dir_all(&partial);
    let pom = home.join("pom.xml");
    fs::write(&pom, pom_text()).map_err(|error| format!("cannot write {}: {error}", pom.display()))?;
    let output = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", partial.display()))
        .output()
        .map_err(|error| missing("mvn", "Maven", &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(format!(
            "mvn could not fetch Kafka {VERSION}: {}",
            said.lines().next().unwrap_or("no reason given")
        ));
    }
    fs::rename(&partial, libs).map_err(|error| format!("cannot make {}: {error}", libs.display()))
}

fn pom_text() -> String {
    let dependency = |artifact: &str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId><version>{VERSION}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion><groupId>haldane</groupId>\
         <artifactId>broker</artifactId><version>1</version><dependencies>{}{}</dependencies></project>\n",
        dependency("kafka_2.13"),
        dependency("kafka-tools")
    )
}

fn missing(program: &str, package: &str, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!(
            "`{program}` is not installed: install {package} (Java 17 or later), or set HALDANE_TEST_BOOTSTRAP to a running cluster"
        ),
        _ => format!("cannot run {program}: {error}"),
    }
}

/// Formats a fresh log folder and starts one node on it, broker and controller in one, under a guard that ends both
/// with us.
fn start(libs: &Path) -> Result<Broker, String> {
    let home = std::env::temp_dir().join(format!("haldane-kafka-{}", std::process::id()));
    fs::create_dir_all(&home).map_err(|error| format!("cannot make {}: {error}", home.display()))?;
    let ports = free_ports().map_err(|error| format!("no free port on 127.0.0.1: {error}"))?;
    let properties = home.join("server.properties");
    let keys = home.join("keys.json");
    let key = token_key(&keys)?;
    fs::write(&properties, settings(&home, &keys, ports)).map_err(|error| error.to_string())?;
    format(libs, &properties)?;
    let allowed = format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{}", keys.display());
    let guard = guard(&home, java(libs, HEAP).arg(allowed).arg("kafka.Kafka").arg(&properties))?;
    let [open, login, address, _] = ports.map(|port| format!("127.0.0.1:{port}"));
    Ok(Broker::at(open, Some(login), Some(TokenLogin { address, key }), Some(guard)))
}

/// Makes the log folder of a node ready, unless it is.
pub(crate) fn format(libs: &Path, properties: &Path) -> Result<(), String> {
    let format = java(libs, HEAP)
        .args(["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", "aGFsZGFuZS10ZXN0LTAwMQ", "-c"])
        .arg(properties)
        .output()
        .map_err(|error| missing("java", "a Java runtime", &error))?;
    if format.status.success() {
        return Ok(());
    }
    Err(format!("cannot format Kafka's storage: {}", String::from_utf8_lossy(&format.stderr).trim()))
}

/// Java with Kafka's jars, and so much memory for objects.
pub(crate) fn java(libs: &Path, heap: &str) -> Command {
    let mut command = Command::new("java");
    command.args([heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=4", "-cp"]).arg(libs.join("*"));
    command
}

/// Runs a server below a shell that waits for the end of its input, kills the server and removes its folder. Meanwhile
/// the file `pid` in the folder holds the server's process id.
pub(crate) fn guard(home: &Path, server: &Command) -> Result<Child, String> {
    const SCRIPT: &str = r#"home=$1; shift; "$@" >"$home/server.log" 2>&1 & pid=$!; echo $pid >"$home/pid"
        read -r _; kill -9 $pid; wait $pid; rm -rf "$home""#;
    Command::new("sh")
        .args(["-c", SCRIPT, "guard"])
        .arg(home)
        .arg(server.get_program())
        .args(server.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| missing("sh", "a POSIX shell", &error))
}

/// Ports that are free now, held together so that they differ.
pub(crate) fn free_ports<const N: usize>() -> std::io::Result<[u16; N]> {
    let held = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Whoever logged in with a token brings a new one before it has expired, or is cut off.
fn settings(home: &Path, keys: &Path, [open, login, token, controller]: [u16; 4]) -> String {
    const TOKEN: &str = "listener.name.token.oauthbearer";
    const OF_TOKENS: &str = "org.apache.kafka.common.security.oauthbearer";
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=OPEN://127.0.0.1:{open},LOGIN://127.0.0.1:{login},TOKEN://127.0.0.1:{token},\
         CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=OPEN://127.0.0.1:{open},LOGIN://127.0.0.1:{login},TOKEN://127.0.0.1:{token}\n\
         listener.security.protocol.map=OPEN:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TOKEN:SASL_PLAINTEXT,\
         CONTROLLER:PLAINTEXT\n\
         listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER\n{TOKEN}.connections.max.reauth.ms=3600000\n\
         {TOKEN}.sasl.jaas.config={OF_TOKENS}.OAuthBearerLoginModule required;\n\
         {TOKEN}.sasl.server.callback.handler.class={OF_TOKENS}.OAuthBearerValidatorCallbackHandler\n\
         {TOKEN}.sasl.oauthbearer.jwks.endpoint.url=file://{}\n\
         inter.broker.listener.name=OPEN\ncontroller.listener.names=CONTROLLER\nsasl.enabled.mechanisms=PLAIN\n\
         listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_haldane=\"{PASSWORD}\";\nlog.dirs={}\nauto.create.topics.enable=false\n\
         group.initial.rebalance.delay.ms=0\noffsets.topic.num.partitions=4\noffsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=4\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nlog.retention.ms=-1\nlog.segment.bytes=268435456\n\
         log.cleaner.backoff.ms=100\n",
        keys.display(),
        home.join("log").display()
    )
}

/// A topic that was made is known to all a moment later.
pub(crate) fn await_topic(admin: &AdminClient<DefaultClientContext>, name: &str, partitions: i32) {
    let deadline = now() + START_TIMEOUT;
    let known = || {
        let metadata = admin.inner().fetch_metadata(Some(name), Duration::from_secs(5)).ok()?;
        let topic = metadata.topics().first().filter(|topic| topic.error().is_none())?;
        i32::try_from(topic.partitions().len()).ok()
    };
    while known() != Some(partitions) {
        assert!(now() < deadline, "topic {name} is not known");
    }
}

/// Waits until the cluster names its brokers: a port that answers is not yet a broker that serves.
pub(crate) fn await_metadata(bootstrap: &str, brokers: usize) -> Result<(), String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("reconnect.backoff.max.ms", "200").set("log_level", "0");
    let client: BaseConsumer = config.create().map_err(|error| error.to_string())?;
    let deadline = now() + START_TIMEOUT;
    while now() < deadline {
        match client.fetch_metadata(None, Duration::from_secs(1)) {
            Ok(metadata) if metadata.brokers().len() >= brokers => return Ok(()),
            _ => {}
        }
    }
    Err(format!("{bootstrap} did not answer within {} s", START_TIMEOUT.as_secs()))
}
