//! Runs the model: on a terminal, or in lines.
//!
//! The only place that holds a [`Client`], the terminal and the clock. It
//! decides nothing: inputs go to the model, commands come from it.

mod engine;
mod feed;
mod lines;
mod screen;

use anyhow::bail;
use hongyan_client::{Client, Status};
use jiff::tz::TimeZone;

use crate::model::{Login, Mode, Model, Setup};
use crate::options::{DEFAULT_PROFILE, Options};

/// Runs the program until the user leaves.
///
/// # Errors
/// What a person can mend: the options, the local store, the terminal.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let password = options.password()?;
    let (builder, profile) = options.client()?;
    let client = builder.build().await?;
    let result = run_with(&options, profile, password, client.clone()).await;
    // What waits to be sent is in the store; a lost server must not hold the
    // program up.
    tokio::time::timeout(SHUTDOWN, client.shutdown()).await.ok();
    result
}

async fn run_with(
    options: &Options,
    profile: String,
    password: Option<String>,
    client: Client,
) -> anyhow::Result<()> {
    // An account without a session is remembered, and has to log in again.
    let signed_in = client.status() != Status::AuthRequired;
    let account = client.account().filter(|_| signed_in);
    if let (Some(account), Some(name)) = (&account, &options.name)
        && !account.name.eq_ignore_ascii_case(name)
    {
        bail!(
            "the profile \"{profile}\" is signed in as {}; give another --profile, or sign out first",
            account.name
        );
    }
    let setup = Setup {
        server: options.server.clone(),
        tls: options.encrypted(),
        stands_in: options.profile().is_none() && profile != DEFAULT_PROFILE,
        profile,
        zone: TimeZone::system(),
        plain: options.plain,
    };
    let mut model = Model::new(setup, account, feed::now_ms());
    model.say_profile();
    let mut first = Vec::new();
    if let Some(login) = &mut model.login {
        prefill(login, options, password.as_deref());
        if password.is_some() {
            login.submit(&mut first);
        } else if options.plain {
            bail!(
                "nobody is signed in in the profile \"{}\": give --name and --password-file",
                model.setup.profile
            );
        }
    }
    if options.plain {
        lines::run(model, client, first).await
    } else {
        screen::run(model, client, first).await
    }
}

fn prefill(login: &mut Login, options: &Options, password: Option<&str>) {
    if let Some(name) = &options.name {
        login.name.insert(name);
        login.field = crate::model::Field::Password;
    }
    let Some(password) = password else {
        return;
    };
    login.password.insert(password);
    if options.register {
        login.mode = Mode::Register;
        login.repeat.insert(password);
        login.login_when_taken = true;
    }
}

const SHUTDOWN: std::time::Duration = std::time::Duration::from_secs(2);
