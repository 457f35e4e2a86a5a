//! Private servers that the services run on, each in a folder of its own, on free ports; they die with the
//! tests and touch nothing that runs already.

mod rabbitmq;

pub use rabbitmq::RabbitMq;
