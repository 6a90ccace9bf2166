//! The one table of what `cargo xtask test` runs.
//!
//! To add a proof, add a row: a name, a sentence, and the command. Rows run
//! in this order. All of them use the dev profile and the features of the
//! whole workspace, so that nothing is compiled twice; that is why a
//! program of ours is built by the `build` step and then started as it is,
//! instead of by `cargo run -p`, which would resolve features anew.

use crate::deny;
use crate::npm;
use crate::shell::Workspace;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Step {
    /// What `--only` takes.
    pub(crate) name: &'static str,
    /// What is printed while it runs.
    pub(crate) title: &'static str,
    /// Whether `--quick` runs it.
    pub(crate) quick: bool,
    /// The command.
    pub(crate) run: Run,
}

/// How a step is run.
#[derive(Debug)]
pub(crate) enum Run {
    /// `cargo` with these arguments.
    Cargo(&'static [&'static str]),
    /// The workspace's tests, by nextest where it is installed.
    Tests,
    /// Tests of the wire whose names contain one of these.
    Wire(&'static [&'static str]),
    /// A program that the `build` step left in the target directory.
    /// It may say `N passed, N failed`; it ends with 0 when all held, with 77
    /// when this machine cannot run it, and with anything else otherwise.
    Program {
        /// Name of the program.
        name: &'static str,
        /// What it always gets.
        always: &'static [&'static str],
        /// What it also gets in continuous integration. By hand, `cargo
        /// xtask <step> <arguments>` replaces these.
        args: &'static [&'static str],
    },
    /// Scripts of an npm package, one after the other until one fails. Left out
    /// where there is no Node, or no browser for those that need one.
    Npm {
        /// Its folder.
        package: &'static str,
        /// What follows `npm run`.
        scripts: &'static [&'static [&'static str]],
        /// Whether they need a browser.
        browser: bool,
    },
    /// Something that xtask does itself.
    Own(fn(&Workspace) -> anyhow::Result<()>),
}

/// Features of the programs below. The same for every step, so that no crate
/// is built in two ways.
pub(crate) const FEATURES: &str = "hongyan-store/torture";

/// The step that those after it need.
pub(crate) const BUILD: &str = "build";

/// Every step, in the order of `cargo xtask test`.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        title: "formatting",
        quick: true,
        run: Run::Cargo(&["fmt", "--all", "--check"]),
    },
    Step {
        name: "deny",
        title: "licences, bans and duplicates of dependencies",
        quick: true,
        run: Run::Own(deny::check),
    },
    Step {
        name: "tidy",
        title: "rules of the tree: imports, sizes, documents, banned words",
        quick: true,
        run: Run::Cargo(&["test", "--locked", "--package", "hongyan-tidy"]),
    },
    Step {
        name: "clippy",
        title: "clippy over all targets, warnings are errors",
        quick: true,
        run: Run::Cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--features",
            FEATURES,
            "--",
            "-D",
            "warnings",
        ]),
    },
    Step {
        name: BUILD,
        title: "build of everything",
        quick: true,
        run: Run::Cargo(&[
            "build",
            "--locked",
            "--workspace",
            "--all-targets",
            "--features",
            FEATURES,
        ]),
    },
    Step { name: "tests", title: "tests of every crate", quick: true, run: Run::Tests },
    Step {
        name: "doctests",
        title: "examples in the documentation",
        quick: false,
        run: Run::Cargo(&["test", "--locked", "--workspace", "--features", FEATURES, "--doc"]),
    },
    Step {
        name: "vectors",
        title: "golden vectors, malformed frames and released schema",
        quick: true,
        run: Run::Wire(&["golden", "malformed", "compat"]),
    },
    Step {
        name: "fuzz-corpus",
        title: "replay of the fuzz corpus",
        quick: true,
        run: Run::Wire(&["corpus"]),
    },
    Step {
        name: "simulator",
        title: "simulator: 500 seeds",
        quick: false,
        run: Run::Program { name: "simulate", always: &[], args: &["--seeds", "500"] },
    },
    Step {
        name: "broken-builds",
        title: "simulator: three rules broken on purpose are caught",
        quick: false,
        run: Run::Program { name: "broken-builds", always: &[], args: &[] },
    },
    Step {
        name: "store-kill",
        title: "kill -9 under a writing store: 40 rounds",
        quick: false,
        run: Run::Program { name: "store_torture", always: &["kill"], args: &["--rounds", "40"] },
    },
    Step {
        name: "store-cut",
        title: "power cut under a writing store: 10 rounds",
        quick: false,
        run: Run::Program { name: "store_torture", always: &["cut"], args: &["--rounds", "10"] },
    },
    Step {
        name: "crash-loop",
        title: "kill -9 of the real server under load: 40 rounds",
        quick: false,
        run: Run::Program { name: "torture", always: &["crash"], args: &["--rounds", "40"] },
    },
    Step {
        name: "power-cut",
        title: "power cut under the real server: 10 rounds",
        quick: false,
        run: Run::Program { name: "torture", always: &["cut"], args: &["--rounds", "10"] },
    },
    Step {
        name: "corrupt",
        title: "damaged files under the real server: 50 faults",
        quick: false,
        run: Run::Program { name: "torture", always: &["corrupt"], args: &["--flips", "50"] },
    },
    Step {
        name: "disk-full",
        title: "a full disk under the real server: 3 rounds",
        quick: false,
        run: Run::Program { name: "torture", always: &["full"], args: &["--rounds", "3"] },
    },
    Step {
        name: "sdk",
        title: "TypeScript SDK: lint, types, unit tests, size",
        quick: true,
        run: Run::Npm {
            package: npm::SDK,
            scripts: &[&["build"], &["lint"], &["typecheck"], &["test"], &["size"]],
            browser: false,
        },
    },
    Step {
        name: "sdk-server",
        title: "TypeScript SDK against the real server, with three minutes of chaos",
        quick: false,
        run: Run::Npm {
            package: npm::SDK,
            scripts: &[&["test:server"], &["chaos", "--", "--minutes", "3"]],
            browser: false,
        },
    },
    Step {
        name: "app",
        title: "chat app: types, tests, builds for H5, mini-program and App",
        quick: false,
        run: Run::Npm {
            package: npm::APP,
            scripts: &[
                &["typecheck"],
                &["test"],
                &["build:h5"],
                &["build:mp-weixin"],
                &["build:app"],
            ],
            browser: false,
        },
    },
    Step {
        name: "app-e2e",
        title: "chat app in a real browser, and as a mini-program, against the real server",
        quick: false,
        run: Run::Npm { package: npm::APP, scripts: &[&["e2e"]], browser: true },
    },
    Step {
        name: "doc",
        title: "documentation, warnings are errors",
        quick: false,
        run: Run::Cargo(&["doc", "--locked", "--no-deps", "--workspace"]),
    },
];

/// The step with this name.
pub(crate) fn find(name: &str) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.name == name)
}
