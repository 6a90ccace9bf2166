//! From the name of a driver to the driver: the only place that knows them all.

use crate::cli::target::{DriverName, TargetArgs};
use crate::driver::Driver;
use crate::driver::jetstream::JetstreamDriver;
use crate::driver::mqtt::MqttDriver;
use crate::driver::null::NullDriver;
use crate::driver::rabbitmq::RabbitDriver;
use crate::driver::redis::RedisDriver;
use crate::driver::xmpp::XmppDriver;
use crate::plan::Plan;

/// Something that runs on any driver.
pub(super) trait Job {
    /// What comes of it.
    type Output;

    /// Runs it; `name` is the driver's, for the report.
    fn run<D: Driver>(self, driver: &D, name: &str) -> anyhow::Result<Self::Output>;
}

/// Runs `job` on the driver that `target` names, made for `plan`.
pub(super) fn drive<J: Job>(target: &TargetArgs, plan: &Plan, job: J) -> anyhow::Result<J::Output> {
    let endpoint = target.endpoint()?;
    match target.driver {
        DriverName::Hongyan => {
            let driver = target.hongyan(plan, plan.connections)?;
            let done = job.run(&driver, "hongyan");
            target.keep(&driver)?;
            done
        }
        DriverName::Jetstream => {
            job.run(&JetstreamDriver::new(endpoint, plan.clone()), "jetstream")
        }
        DriverName::Mqtt => job.run(&MqttDriver::new(endpoint, plan), "mqtt"),
        DriverName::Null => job.run(&NullDriver::new(endpoint, plan.clone()), "null relay"),
        DriverName::Rabbitmq => {
            let driver = RabbitDriver::new(endpoint, target.queue, plan.clone());
            job.run(&driver, driver.name())
        }
        DriverName::Redis => job.run(&RedisDriver::new(endpoint, plan.clone()), "redis"),
        DriverName::Xmpp => job.run(&XmppDriver::new(endpoint, plan.clone()), "xmpp"),
    }
}
