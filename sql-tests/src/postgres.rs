//! A PostgreSQL 15 to compare with: the one `VICINITY_POSTGRES` names (`host=... port=... user=...`), or a throw-away
//! cluster of the one that is installed.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

/// A running PostgreSQL 15; a throw-away one ends with it.
pub struct Postgres {
    login: String,
    own: Option<Cluster>,
}

/// A cluster in a directory of its own, on a socket there.
struct Cluster {
    server: Child,
    _directory: TempDir,
}

static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

impl Postgres {
    /// The one the tests of this process share; `None`, and a line that says so, where there is none.
    pub async fn start() -> Option<Arc<Postgres>> {
        let shared = {
            let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
            match shared.upgrade() {
                Some(running) => running,
                None => {
                    let started = Arc::new(Postgres::find()?);
                    *shared = Arc::downgrade(&started);
                    started
                }
            }
        };
        for _ in 0..300 {
            if tokio_postgres::connect(&shared.login, NoTls).await.is_ok() {
                return Some(shared);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("PostgreSQL at {} does not answer", shared.login);
    }

    /// How to connect to it.
    pub fn login(&self) -> &str {
        &self.login
    }

    fn find() -> Option<Postgres> {
        if let Ok(login) = std::env::var("VICINITY_POSTGRES") {
            return Some(Postgres { login, own: None });
        }
        let Some(programs) = programs() else {
            eprintln!(
                "skipped: PostgreSQL 15 is not installed, and VICINITY_POSTGRES names no other"
            );
            return None;
        };
        Some(Postgres::create(&programs))
    }

    fn create(programs: &Path) -> Postgres {
        let directory = TempDir::with_prefix("vicinity-postgres-").unwrap();
        let owner = owner();
        if let Some((user, group)) = owner {
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        let run = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.current_dir(directory.path()).env("LC_ALL", "C").stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command
        };
        let data = directory.path().join("data");
        let made = run("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .status();
        assert!(made.is_ok_and(|s| s.success()), "initdb failed in {}", data.display());
        let socket = directory.path().display().to_string();
        let server = run("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"])
            .args(["-c", "max_prepared_transactions=10"])
            .args(["-c", "port=5432", "-c", &format!("unix_socket_directories={socket}")])
            .spawn()
            .unwrap();
        let login = format!("host={socket} user=postgres");
        Postgres { login, own: Some(Cluster { server, _directory: directory }) }
    }

    /// A session.
    pub async fn connect(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.login, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// A statement's rows, their values as text with `|` between; or the error's code and message.
pub async fn rows(client: &Client, sql: &str) -> Result<Vec<String>, String> {
    let messages = client.simple_query(sql).await.map_err(|e| match e.as_db_error() {
        Some(e) => format!("{} {}", e.code().code(), e.message()),
        None => e.to_string(),
    })?;
    let text = |row: &SimpleQueryRow| {
        let values = (0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned());
        values.collect::<Vec<_>>().join("|")
    };
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(text(row)),
        _ => None,
    });
    Ok(rows.collect())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(own) = &mut self.own else { return };
        // At once: nothing of it is kept.
        let told = Command::new("kill").args(["-QUIT", &own.server.id().to_string()]).status();
        if !told.is_ok_and(|s| s.success()) {
            let _ = own.server.kill();
        }
        let _ = own.server.wait();
    }
}

/// Where the programs of a PostgreSQL 15 are.
fn programs() -> Option<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").output().ok();
    let said = said.map(|o| PathBuf::from(String::from_utf8_lossy(&o.stdout).trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = ["/usr/lib/postgresql/15/bin", "/usr/pgsql-15/bin", "/usr/local/pgsql/bin"];
    let known = known.into_iter().map(PathBuf::from);
    let mut all = known.chain(said).chain(std::env::split_paths(&path));
    all.find(|directory| {
        let version = Command::new(directory.join("postgres")).arg("--version").output();
        directory.join("initdb").is_file()
            && version.is_ok_and(|v| String::from_utf8_lossy(&v.stdout).contains(") 15."))
    })
}

/// Who is to run it, user and group: PostgreSQL refuses root.
fn owner() -> Option<(u32, u32)> {
    let id = |flag: &str, name: &[&str]| {
        let said = Command::new("id").arg(flag).args(name).output().ok()?;
        String::from_utf8_lossy(&said.stdout).trim().parse::<u32>().ok()
    };
    if id("-u", &[])? != 0 {
        return None;
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| Some((id("-u", &[name])?, id("-g", &[name])?)))
}
