//! Random log folders, and what `lastwords show` must make of them, by a model of a few lines.
//!
//! Files are as flushers and people leave them: rotated anywhere, compressed or not, text, JSON or both, clocks that were set back, equal times, long
//! and many-lined messages, lines that no flusher wrote.

use lastwords_tests::actor::printed;
use lastwords_tests::oracle::Random;
use lastwords_tests::packing::pack;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time for all folders.
const TIME: Duration = Duration::from_secs(15);
/// As many are tried in any case.
const FOLDERS: usize = 20;
/// 2025-10-19 05:55:40 UTC, nanoseconds since 1970.
const START: u64 = 1_760_853_340_000_000_000;
const LEVELS: [(&str, u16); 4] = [("DEBUG", 10), ("INFO", 20), ("Level 35", 35), ("ERROR", 40)];

/// A record of the model.
#[derive(Debug, Clone)]
struct Record {
    ns: u64,
    pid: u64,
    level: usize,
    message: String,
    /// Behind it, from somebody else.
    foreign: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Both,
}

struct Role {
    name: &'static str,
    form: Form,
    records: Vec<Record>,
}

fn time(ns: u64, digits: usize) -> String {
    let seconds = (ns - START) / 1_000_000_000;
    let fraction = format!("{:09}", ns % 1_000_000_000);
    let minute = 55 + (40 + seconds) / 60;
    format!("2025-10-19 05:{minute:02}:{:02}.{}", (40 + seconds) % 60, &fraction[..digits])
}

impl Record {
    fn random(random: &mut Random, ns: u64, number: usize, form: Form) -> Record {
        let words = ["alpha", "beta", "x\ny", "größer 🦀", "two  spaces", "\"quoted\" \\ [1] [INFO]"];
        let mut message = format!("n {number}");
        for _ in 0..random.below(4) {
            message += &format!(" {}", words[random.below(words.len() as u64) as usize]);
        }
        if random.below(60) == 0 {
            message += &" long".repeat(random.below(80_000) as usize);
        }
        let foreign = if form == Form::Text && random.below(20) == 0 { "somebody else\n" } else { "" };
        Record { ns, pid: 1 + random.below(3), level: random.below(4) as usize, message, foreign: foreign.to_owned() }
    }

    fn text(&self) -> String {
        format!("{} [{}] [{}] {}\n{}", time(self.ns, 3), self.pid, LEVELS[self.level].0, self.message, self.foreign)
    }

    fn json(&self, role: &str) -> String {
        let (level, number) = LEVELS[self.level];
        let message = serde_json::Value::from(self.message.as_str());
        let time = time(self.ns, 9).replace(' ', "T");
        format!(
            "{{\"time\":\"{time}+00:00\",\"level\":\"{level}\",\"level_number\":{number},\"role\":\"{role}\",\"pid\":{},\"message\":{message}}}\n",
            self.pid
        )
    }
}

impl Role {
    fn random(random: &mut Random, name: &'static str, steps: bool) -> Role {
        let form = [Form::Text, Form::Json, Form::Both][random.below(3) as usize];
        let mut ns = START + 2_000_000_000 + random.below(3_000_000);
        let records = (0..random.below(300) as usize).map(|number| {
            ns += [0, 1_000, 700_000, 3_000_000][random.below(4) as usize];
            if steps && random.below(50) == 0 {
                ns -= random.below(1_500_000_000).min(ns - START);
            }
            Record::random(random, ns, number, form)
        });
        Role { name, form, records: records.collect() }
    }

    /// Its time in the order: text has milliseconds.
    fn ns(&self, record: &Record) -> u64 {
        if self.form == Form::Text { record.ns / 1_000_000 * 1_000_000 } else { record.ns }
    }

    fn write(&self, random: &mut Random, folder: &Path) {
        let texts: Vec<String> = self.records.iter().map(Record::text).collect();
        let jsons: Vec<String> = self.records.iter().map(|record| record.json(self.name)).collect();
        if self.form != Form::Json {
            rotated(random, folder, &format!("{}.log", self.name), &texts);
        }
        if self.form != Form::Text {
            rotated(random, folder, &format!("{}.jsonl", self.name), &jsons);
        }
    }
}

/// Writes records into files that were rotated at random.
fn rotated(random: &mut Random, folder: &Path, name: &str, records: &[String]) {
    let mut rest = records;
    let files = random.below(5);
    for number in (0..=files).rev() {
        let count = if number == 0 { rest.len() } else { random.below(rest.len() as u64 + 1) as usize };
        let (these, others) = rest.split_at(count);
        let name = if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
        let path = folder.join(name);
        fs::write(&path, these.concat()).expect("written");
        if number > 0 && random.below(2) == 0 {
            pack(&path, random.below(5000));
        }
        rest = others;
    }
}

/// All records in their order: of the next ones the earliest, of equal times that of the first role.
fn merged(roles: &[Role]) -> Vec<&Record> {
    let mut rests: Vec<(&Role, &[Record])> = roles.iter().map(|role| (role, role.records.as_slice())).collect();
    rests.sort_by_key(|(role, _)| role.name);
    let mut merged = Vec::new();
    loop {
        let next = rests.iter_mut().filter(|(_, rest)| !rest.is_empty()).min_by_key(|(role, rest)| role.ns(&rest[0]));
        let Some((_, rest)) = next else { return merged };
        merged.push(&rest[0]);
        *rest = &rest[1..];
    }
}

fn show(folder: &Path, arguments: &[&str]) -> String {
    let found = printed(TOOL.command().arg("show").args(arguments).arg(folder));
    assert_eq!(found.err, "", "{arguments:?}");
    found.out
}

#[track_caller]
fn compare<'a>(folder: &Path, arguments: &[&str], expected: impl IntoIterator<Item = &'a Record>) {
    let (found, expected) = (show(folder, arguments), expected.into_iter().map(Record::text).collect::<String>());
    if found != expected {
        let differ = found.lines().zip(expected.lines()).position(|(a, b)| a != b);
        let at = differ.unwrap_or(found.lines().count().min(expected.lines().count()));
        let around =
            |text: &str| text.lines().skip(at.saturating_sub(2)).take(5).map(str::to_owned).collect::<Vec<_>>();
        panic!("{arguments:?}, line {at}:\n{:#?}\nexpected\n{:#?}", around(&found), around(&expected));
    }
}

#[test]
fn random_folders_are_shown_as_the_model_has_them() {
    let mut random = Random::from_env("LASTWORDS_SHOW_SEED");
    let (start, mut tried) = (Instant::now(), 0);
    while tried < FOLDERS || start.elapsed() < TIME && tried < 200 {
        let (scratch, steps) = (Scratch::new("show-model"), random.below(2) == 0);
        fs::write(scratch.join("time_zone"), "UTC +00:00\n").expect("written");
        let roles: Vec<Role> = ["api", "host", "worker"][..1 + random.below(3) as usize]
            .iter()
            .map(|name| Role::random(&mut random, name, steps))
            .collect();
        roles.iter().for_each(|role| role.write(&mut random, &scratch));
        let all = merged(&roles);
        let of =
            |wanted: &dyn Fn(&Record) -> bool| all.iter().copied().filter(|record| wanted(record)).collect::<Vec<_>>();
        compare(&scratch, &[], all.iter().copied());
        compare(&scratch, &["-p", "21..35"], of(&|record| record.level == 2));
        compare(&scratch, &["--pid", "2"], of(&|record| record.pid == 2));
        let since = START + 2_000_000_000 + random.below(300) * 1_000_000;
        let inside = of(&|record| record.ns >= since);
        // What was set back by milliseconds and has no more than these cannot be told apart by nanoseconds.
        compare(&scratch, &["-S", &time(since, 9)], inside);
        let until = since + 999_999 + random.below(300) * 1_000_000;
        compare(
            &scratch,
            &["-S", &time(since, 9), "-U", &time(until, 9)],
            of(&|record| (since..=until).contains(&record.ns)),
        );
        if !steps {
            compare(&scratch, &["-g", "beta"], of(&|record| record.message.contains("beta")));
            compare(
                &scratch,
                &["-g", "Größer|y$"],
                of(&|record| record.message.lines().any(|line| line.ends_with('y'))),
            );
            let count = random.below(all.len() as u64 + 2) as usize;
            compare(&scratch, &["-n", &count.to_string()], all[all.len().saturating_sub(count)..].iter().copied());
            compare(&scratch, &["-r"], all.iter().rev().copied());
        }
        tried += 1;
    }
    println!("{tried} folders");
}
