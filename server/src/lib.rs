//! The server: sessions of the engine behind the wire, configuration, starting and stopping.
//!
//! [`vicinity_wire`] owns sockets and messages; [`session`] puts the engine behind it; [`serve`]
//! opens the database, listens and stops; [`demo`] shows it all in one command.

pub mod config;
pub mod demo;
pub mod serve;
pub mod service;
pub mod session;
pub mod tls;
