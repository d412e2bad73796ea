//! Parts of the work that are done by another process of this program.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::Value;

/// What another process is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// Name all devices.
    List,
    /// Say what a device allows and how fast it is.
    Measure,
    /// Compare a device with the reference.
    Check,
    /// The same with run-time checks in its shaders.
    CheckChecked,
    /// Find the first step that goes wrong.
    Bisect,
}

/// What it answers with in the end, or what went wrong in a phrase.
pub(super) type Answer = Result<Value, String>;

/// Does a part in a process of its own, which is ended after `limit`. `instructions` are those that the CPU is to be run with.
pub(super) fn run_part(
    part: Part,
    arguments: &[String],
    instructions: Option<&str>,
    limit: Duration,
) -> Answer {
    let (program, before) = this_program().map_err(|e| format!("this program cannot be found ({e})"))?;
    let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut command = Command::new(program);
    command.args(before).args(["doctor", "--part", &name]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Nothing that the logger says is part of the answer.
    command.env("RUST_LOG", "off");
    if let Some(instructions) = instructions {
        command.env("MSD_GPU_INSTRUCTIONS", instructions);
    }
    let child = command.spawn().map_err(|e| format!("this program cannot be started again ({e})"))?;
    listen(child, limit)
}

/// The program, and the arguments before its own: it may have been started through the dynamic linker.
fn this_program() -> std::io::Result<(PathBuf, Vec<String>)> {
    let program = std::env::current_exe()?;
    let own = std::env::args_os().len();
    let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let mut words: Vec<String> =
        line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    // What follows the last 0 is no word.
    words.pop();
    if words.len() <= own {
        return Ok((program, Vec::new()));
    }
    words.truncate(words.len() + 1 - own);
    words.remove(0);
    Ok((program, words))
}

/// Reads what a process says, line by line, until it ends or the time is over.
fn listen(mut child: Child, limit: Duration) -> Answer {
    let (sender, lines) = channel();
    let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("its output cannot be read".into());
    };
    // Both threads end when the process does.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let begun = Instant::now();
    let mut doing = String::new();
    let mut answer: Option<Value> = None;
    loop {
        match lines.recv_timeout(limit.saturating_sub(begun.elapsed())) {
            // Drivers may write to standard output too.
            Ok(line) => {
                if let Ok(Value::Object(mut said)) = serde_json::from_str(&line) {
                    if let Some(Value::String(name)) = said.remove("doing") {
                        doing = format!(" at {name}");
                    }
                    answer = said.remove("answer").or(answer);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer within {} s{doing}", limit.as_secs()));
            }
        }
    }
    let status = child.wait().map_err(|e| format!("it cannot be waited for ({e})"))?;
    match (answer, status.success()) {
        (Some(answer), true) => Ok(answer),
        _ => {
            let errors = errors.join().unwrap_or_default();
            let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            let said = last.strip_prefix("error: ").unwrap_or(last);
            Err(format!(
                "{}{doing}{}",
                ended(status),
                if said.is_empty() { String::new() } else { format!(": {said}") }
            ))
        }
    }
}

/// How a process ended, in words.
fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        match status.signal() {
            Some(11 | 7) => return "the driver crashed".into(),
            Some(6) => return "the driver gave up".into(),
            Some(signal) => return format!("it was ended by signal {signal}"),
            None => {}
        }
    }
    match status.code() {
        Some(101) => "it ended with a panic".into(),
        _ => "it failed".into(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Answer {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        listen(command.spawn().unwrap(), limit)
    }

    #[test]
    fn an_answer_is_taken_and_other_output_is_not() {
        let script = r#"echo hello; echo '{"doing": "a"}'; echo '{"answer": {"n": 3}}'; echo noise >&2"#;
        assert_eq!(shell(script, Duration::from_secs(20)).unwrap()["n"], 3);
    }

    #[test]
    fn a_process_that_ends_early_or_never_is_told_of() {
        let long = Duration::from_secs(20);
        let crash = shell(r#"echo '{"doing": "network 3"}'; kill -SEGV $$"#, long).unwrap_err();
        assert_eq!(crash, "the driver crashed at network 3");
        let panic = shell("echo 'error: no memory' >&2; exit 1", long).unwrap_err();
        assert_eq!(panic, "it failed: no memory");
        // An answer before the end does not count where the end is a crash.
        assert!(shell(r#"echo '{"answer": 1}'; kill -ABRT $$"#, long).is_err());
        let hang =
            shell(r#"echo '{"doing": "network 4"}'; exec sleep 60"#, Duration::from_secs(1)).unwrap_err();
        assert_eq!(hang, "no answer within 1 s at network 4");
    }

    #[test]
    fn the_program_is_found_with_its_own_arguments_left_out() {
        let (program, before) = this_program().unwrap();
        assert!(program.is_file() && before.is_empty(), "{program:?} {before:?}");
    }
}
