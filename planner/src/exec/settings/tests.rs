#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
use super::*;

fn set(s: &mut Settings, name: &str, value: &str) -> String {
    match s.set(name, value, Source::Session, true) {
        Ok(()) => s.show(name).unwrap(),
        Err(e) => format!("{}: {}", e.code(), e.message()),
    }
}

#[test]
fn the_table_is_whole() {
    assert!(settings().len() > 355);
    assert_eq!(find("datestyle").unwrap().name, "DateStyle");
    let s = Settings::new();
    for setting in settings() {
        s.show(setting.name).unwrap();
    }
    assert_eq!(s.show("work_mem").unwrap(), "4MB");
    assert_eq!(s.show("search_path").unwrap(), "\"$user\", public");
    assert_eq!(s.search_path(), ["$user", "public"]);
    assert_eq!(s.show("unix_socket_permissions").unwrap(), "0777");
}

#[test]
fn values_with_units() {
    let mut s = Settings::new();
    assert_eq!(set(&mut s, "work_mem", "1.5MB"), "1536kB");
    assert_eq!(set(&mut s, "work_mem", "0x1000"), "4MB");
    assert_eq!(set(&mut s, "statement_timeout", "5s"), "5s");
    assert_eq!(set(&mut s, "statement_timeout", "1500"), "1500ms");
    assert_eq!(set(&mut s, "vacuum_cost_delay", "1.5ms"), "1500us");
    assert_eq!(set(&mut s, "random_page_cost", "1.50"), "1.5");
    assert_eq!(set(&mut s, "enable_sort", "of"), "off");
    assert_eq!(
        set(&mut s, "work_mem", "1"),
        "22023: 1 kB is outside the valid range for parameter \"work_mem\" (64 .. 2147483647)"
    );
    assert_eq!(
        set(&mut s, "random_page_cost", "-1"),
        "22023: -1 is outside the valid range for parameter \"random_page_cost\" (0 .. 1.79769e+308)"
    );
    let e = s.set("work_mem", "4XB", Source::Session, true).unwrap_err();
    assert_eq!(e.message(), "invalid value for parameter \"work_mem\": \"4XB\"");
    assert!(e.report().hint.as_deref().unwrap().starts_with("Valid units"));
}

#[test]
fn refusals() {
    let mut s = Settings::new();
    assert!(set(&mut s, "nosuch", "1").starts_with("42704"));
    assert!(set(&mut s, "shared_buffers", "1MB").starts_with("55P02"));
    assert!(set(&mut s, "foo.1x", "1").starts_with("42602"));
    assert_eq!(set(&mut s, "foo.bar", "1"), "1");
    assert!(s.show("foo.baz").is_err());
    assert_eq!(set(&mut s, "datestyle", "german"), "German, DMY");
    assert_eq!(set(&mut s, "datestyle", "iso, ymd"), "ISO, YMD");
    assert!(set(&mut s, "datestyle", "foo").starts_with("22023"));
    assert_eq!(set(&mut s, "timezone", "europe/berlin"), "Europe/Berlin");
}

#[test]
fn transactions() {
    let mut s = Settings::new();
    set(&mut s, "work_mem", "1MB");
    s.commit();
    s.set("work_mem", "2MB", Source::Local, true).unwrap();
    assert_eq!(s.show("work_mem").unwrap(), "2MB");
    let mark = s.mark();
    set(&mut s, "work_mem", "3MB");
    s.rollback_to(mark);
    assert_eq!(s.show("work_mem").unwrap(), "2MB");
    s.commit();
    assert_eq!(s.show("work_mem").unwrap(), "1MB");
    set(&mut s, "application_name", "x");
    assert_eq!(s.take_reports(), [("application_name", "x".to_owned())]);
    s.rollback();
    assert_eq!(s.take_reports(), [("application_name", String::new())]);
    s.reset("work_mem", Source::Session, true).unwrap();
    assert_eq!(s.show("work_mem").unwrap(), "4MB");
}
