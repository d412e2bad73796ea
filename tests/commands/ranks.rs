//! Training on several devices at once, and by several processes that `mpirun` starts: the model is the same to the last bit.

use super::support::Bench;
use super::train::{bench, model, segment};
#[cfg(all(feature = "mpi", target_os = "linux"))]
use super::volumes::{contents, stack};

/// What makes sums of gradients differ by rounding: images of three sizes in each batch, weights by class, Dice, clipping, an average, a
/// schedule that looks back, and layers that stay.
const SEGMENT: &str = "--depth 4 --crop 0 --batch 4 --val-images val --val-targets val_labels --loss cross-entropy+dice --clip-norm 0.5 \
     --ema 0.9 --lr 0.01 --schedule plateau --lr-patience 1 --lr-factor 0.5 --validate-every 1 --init start --freeze 2 \
     --class-weights 1,2.7";
/// The same for values.
const REGRESS: &str = "train regress --images images --targets images_targets --depth 4 --crop 0 --batch 4 --val-images val \
     --val-targets val_targets --loss huber:0.7 --optimizer adamw --weight-decay 0.01 --ema 0.8 --lr 0.01 --clip-norm 1 --validate-every 1";

/// The numbers of a checkpoint, and the history but for the minutes.
fn result(bench: &Bench, run: &str) -> (Vec<u8>, String) {
    let file = std::fs::read(bench.path(&format!("{run}/checkpoint.safetensors"))).unwrap();
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let history = bench.text_of(&format!("{run}/history.csv"));
    let without_minutes = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        [&fields[..2], &fields[3..]].concat().join(",")
    };
    let history: Vec<String> = history.lines().map(without_minutes).collect();
    (file[8 + header..].to_vec(), history.join("\n"))
}

/// Fails unless two runs came to the same.
fn same(bench: &Bench, a: &str, b: &str) {
    assert_eq!(model(bench, a).parameters, model(bench, b).parameters, "the best models of {a} and {b}");
    let (found, wanted) = (result(bench, b), result(bench, a));
    assert!(found.0 == wanted.0, "the checkpoints of {a} and {b} differ");
    assert_eq!(found.1, wanted.1, "the histories of {a} and {b}");
}

/// A bench with a trained model to start from.
fn started() -> Bench {
    let bench = bench();
    bench.succeeds(&segment("--depth 4 --device cpu --crop 0 --max-steps 2 --out start"));
    bench
}

fn cpus(count: usize) -> String {
    vec!["cpu"; count].join(",")
}

#[test]
fn any_number_of_devices_gives_the_same_bits() {
    let bench = started();
    for (task, command) in [("segment", segment(SEGMENT)), ("regress", REGRESS.into())] {
        for count in [1, 2, 3, 4, 8] {
            let device = cpus(count);
            bench.succeeds(&format!("{command} --max-epochs 5 --device {device} --out {task}{count}"));
            same(&bench, &format!("{task}1"), &format!("{task}{count}"));
        }
        let files = bench.names(&format!("{task}1"));
        assert!(files.contains(&"preview.png".into()), "{files:?}");
        assert_eq!(bench.names(&format!("{task}4")), files);
        let preview =
            |count: usize| std::fs::read(bench.path(&format!("{task}{count}/preview.png"))).unwrap();
        assert!(preview(1) == preview(3), "the images are shown as they are");
    }
}

#[test]
fn a_run_goes_on_with_any_other_number_of_devices() {
    let bench = started();
    let command = segment(SEGMENT);
    bench.succeeds(&format!("{command} --max-epochs 8 --device cpu --out whole"));
    bench.succeeds(&format!("{command} --max-steps 3 --device cpu,cpu,cpu --out parts"));
    for (limit, count) in
        [("--max-steps 4", 1), ("--max-epochs 5", 4), ("--max-epochs 6", 2), ("--max-epochs 8", 3)]
    {
        bench.succeeds(&format!("train --resume parts {limit} --device {}", cpus(count)));
    }
    same(&bench, "whole", "parts");
}

#[test]
fn devices_without_work_are_told_of_and_change_nothing() {
    let bench = bench();
    let command = segment("--depth 3 --crop 16 --batch 1 --max-steps 6");
    bench.succeeds(&format!("{command} --device cpu --out one"));
    let said = bench.run(&format!("{command} --device cpu,cpu,cpu --out three")).stderr;
    assert!(said.contains("2 of 3 devices wait for the others; give a larger --batch"), "{said}");
    assert!(said.contains("on 3 times CPU"), "{said}");
    same(&bench, "one", "three");
    bench.refuses(
        "evaluate --model one --images images --targets images_labels --device cpu,cpu",
        &["--device", "name one of them"],
    );
    bench.refuses(&format!("{command} --device cpu,nothing --out none"), &["'nothing'"]);
}

#[test]
fn an_error_is_told_once_whatever_the_number_of_devices() {
    let bench = bench();
    let said = bench
        .run(&segment("--depth 3 --crop 16 --batch 2 --lr 1e30 --max-steps 90 --device cpu,cpu --out run"));
    assert_eq!(said.code, 1, "{}", said.stderr);
    let errors: Vec<&str> = said.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{}", said.stderr);
    assert!(errors[0].contains("the loss is"), "{}", said.stderr);
}

#[test]
fn a_script_that_is_run_again_begins_or_goes_on() {
    let bench = started();
    let command = segment(&format!("{SEGMENT} --device cpu,cpu --out run --resume auto"));
    bench.succeeds(&segment(&format!("{SEGMENT} --device cpu --max-epochs 4 --out whole")));
    let said = bench.run(&format!("{command} --max-epochs 2")).stderr;
    assert!(!said.contains("going on") && !said.contains("error"), "{said}");
    let said = bench.run(&format!("{command} --max-epochs 4")).stderr;
    assert!(said.contains("going on from epoch 2"), "{said}");
    same(&bench, "whole", "run");
    let said = bench.run(&format!("{command} --max-epochs 4"));
    assert!(said.code == 0 && said.stderr.contains("nothing left to do"), "{}", said.stderr);
    // What is another run than the one in the folder is refused.
    bench.refuses(&format!("{command} --max-epochs 5 --seed 7"), &["seed is 7 and was 1"]);
    bench.refuses(&segment("--resume auto"), &["--resume is auto", "--out"]);
    bench.refuses("train --resume run --out other", &["--out is given beside --resume"]);
    // A run that was killed before its first checkpoint is begun.
    std::fs::remove_file(bench.path("run/checkpoint.safetensors")).unwrap();
    std::fs::remove_file(bench.path("run/model.safetensors")).unwrap();
    bench.succeeds(&format!("{command} --max-epochs 4"));
    same(&bench, "whole", "run");
}

/// Ranks that are processes.
#[cfg(all(feature = "mpi", target_os = "linux"))]
mod processes {
    use std::process::{Child, Command, Output, Stdio};
    use std::time::{Duration, Instant};

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// `mpirun` with `count` processes, which may be more than there are processors, of the program with `arguments`.
    fn mpirun(bench: &Bench, count: usize, arguments: &str) -> Command {
        let mut command = Command::new("mpirun");
        command
            .args(["-n", &count.to_string(), env!("CARGO_BIN_EXE_msd-gpu")])
            .args(arguments.split_whitespace());
        in_folder(&mut command, bench);
        command
    }

    /// Has a command that starts processes work in the folder, as root too, as in containers.
    fn in_folder(command: &mut Command, bench: &Bench) {
        let open_mpi = ["ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe"];
        command.envs(open_mpi.map(|name| (format!("OMPI_{name}"), "1")));
        command
            .env_remove("RUST_LOG")
            .env("RAYON_NUM_THREADS", "1")
            .env("CI", "true")
            .current_dir(bench.path("."));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    fn ended(command: &mut Command) -> (Output, String) {
        let output = command.output().expect("mpirun; on Debian it is in openmpi-bin");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, said)
    }

    fn trains(bench: &Bench, count: usize, arguments: &str) -> String {
        let (output, said) = ended(&mut mpirun(bench, count, arguments));
        assert!(output.status.success(), "{count} processes, {arguments}: {said}");
        said
    }

    #[test]
    #[ignore = "needs mpirun, which tests/run.sh installs"]
    fn mpi_gives_the_same_bits_by_any_number_of_processes() {
        let bench = started();
        for (task, command) in [("segment", segment(SEGMENT)), ("regress", REGRESS.into())] {
            bench.succeeds(&format!("{command} --max-epochs 5 --device cpu --out {task}"));
            for count in 1..=4 {
                let run = format!("{task}{count}");
                let said =
                    trains(&bench, count, &format!("{command} --max-epochs 5 --device cpu --out {run}"));
                same(&bench, task, &run);
                assert_eq!(bench.names(&run), bench.names(task));
                // One speaks for all.
                assert_eq!(said.matches("images: 4 to train").count(), 1, "{said}");
                assert_eq!(said.contains(&format!("each of {count} ranks")), count > 1, "{said}");
            }
        }
        // On from any number to any other, threads among them.
        let command = segment(SEGMENT);
        trains(&bench, 3, &format!("{command} --max-epochs 1 --device cpu --out parts --resume auto"));
        trains(&bench, 2, &format!("{command} --max-steps 3 --device cpu --out parts --resume auto"));
        bench.succeeds("train --resume parts --device cpu,cpu --max-epochs 4");
        trains(&bench, 4, "train --resume parts --device cpu --max-epochs 5");
        same(&bench, "segment", "parts");
    }

    #[test]
    #[ignore = "needs mpirun, which tests/run.sh installs"]
    fn what_goes_wrong_on_one_process_ends_all_with_its_message() {
        let bench = bench();
        let program = env!("CARGO_BIN_EXE_msd-gpu");
        let good = segment("--depth 3 --crop 16 --batch 3 --max-steps 500000 --device cpu --out run");
        for (bad, wanted) in [
            (good.replace("images_labels", "nowhere"), vec!["error: on rank 2 of 3: ", "nowhere"]),
            (
                good.replace("--depth 3", "--depth 4"),
                vec!["rank 2 has other settings than rank 0", "depth is 4, not 3"],
            ),
            (
                good.replace("images_labels", "images_labels/0.png")
                    .replace("--images images", "--images images/0.tif"),
                vec!["rank 2 sees other images"],
            ),
            (good.replace("--device cpu", "--device nothing"), vec!["error: on rank 2 of 3: ", "'nothing'"]),
        ] {
            let bad: Vec<&str> = bad.split_whitespace().collect();
            let mut command = mpirun(&bench, 2, &good);
            command.args([":", "-n", "1", program]).args(bad);
            let clock = Instant::now();
            let (output, said) = ended(&mut command);
            assert!(!output.status.success() && clock.elapsed() < Duration::from_secs(20), "{said}");
            assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
            assert!(wanted.iter().all(|part| said.contains(part)), "{wanted:?}: {said}");
        }
        // What is wrong on all is told by one.
        let (output, said) =
            ended(&mut mpirun(&bench, 4, "train segment --images nowhere --targets nowhere --out run"));
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.matches("error: ").count(), 1, "{said}");
        // Processes that are each to do something by themselves.
        let alone = "train segment --images images --targets images_labels --depth 3 --device cpu --max-steps 1 --out run";
        let (output, said) = ended(mpirun(&bench, 1, alone).env("MSD_GPU_MPI", "none"));
        assert!(output.status.success(), "{said}");
    }

    /// Processes that `mpirun` starts share files, and the slices of a stack, without being told to.
    #[test]
    #[ignore = "needs mpirun, which tests/run.sh installs"]
    fn processes_share_a_prediction() {
        let bench = started();
        stack(&bench, "s.tif", 11, (40, 30));
        let call = "predict --model start images s.tif --format zarr --device cpu --out";
        bench.succeeds(&format!("{call} one"));
        for count in [2, 3] {
            let said = trains(&bench, count, &format!("{call} many"));
            assert_eq!(contents(&bench.path("many")), contents(&bench.path("one")));
            assert_eq!(said.matches("images done; the results are in many").count(), 1, "{said}");
            assert_eq!(said.matches("this is part 1/").count(), 1, "{said}");
            std::fs::remove_dir_all(bench.path("many")).unwrap();
        }
        // What is wrong with an image of any process is told by one, and ends all.
        bench.bytes("images/9.png", b"no image");
        let (output, said) = ended(&mut mpirun(&bench, 3, &format!("{call} broken --keep-going")));
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.matches("9.png").count(), 1, "{said}");
        let (output, said) = ended(&mut mpirun(&bench, 3, &format!("{call} broken")));
        assert!(!output.status.success(), "{said}");
        assert_eq!(said.matches("error: ").count(), 1, "{said}");
    }

    /// The process of a rank, by the variables that it was started with.
    fn process_of(rank: usize, launcher: &Child) -> Option<u32> {
        let wanted = format!("OMPI_COMM_WORLD_RANK={rank}");
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", launcher.id())).ok()?;
        children.split_whitespace().filter_map(|id| id.parse().ok()).find(|id: &u32| {
            let variables = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
    }

    /// Whether no process of the launcher's lives any more. Open MPI's launcher itself has been seen to wait for a lock of its own then, for
    /// ever, in `PMIx_server_finalize`.
    fn all_have_ended(launcher: &Child) -> bool {
        let path = format!("/proc/{0}/task/{0}/children", launcher.id());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        children.split_whitespace().all(|id| {
            // After the name, which is in parentheses: the state.
            let line = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            line.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
        })
    }

    fn send(signal: &str, process: u32) -> bool {
        Command::new("kill")
            .args([format!("-{signal}"), process.to_string()])
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Twenty times one of four processes is killed without a warning, at any moment; each time all end, and the run goes on.
    #[test]
    #[ignore = "needs mpirun, which tests/run.sh installs"]
    fn a_killed_process_ends_all_and_the_run_goes_on() {
        const KILLS: usize = 20;
        /// How long all may take to end.
        const PATIENCE: Duration = Duration::from_secs(5);
        let bench = started();
        let command = segment(&format!("{SEGMENT} --device cpu --max-epochs 60 --resume auto"));
        let clock = Instant::now();
        trains(&bench, 4, &format!("{command} --out whole"));
        let whole = clock.elapsed();
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut kills = 0;
        let mut runs = 0;
        let mut hung = 0;
        while kills < KILLS {
            runs += 1;
            let run = format!("run{runs}");
            loop {
                let mut launcher = mpirun(&bench, 4, &format!("{command} --out {run}")).spawn().unwrap();
                let killed = (kills < KILLS).then(|| {
                    std::thread::sleep(whole.mul_f64(random.random_range(0.0..0.9)));
                    process_of(random.random_range(0..4), &launcher)
                        .is_some_and(|process| send("KILL", process))
                });
                let clock = Instant::now();
                let mut hangs = false;
                let status = loop {
                    match launcher.try_wait().unwrap() {
                        Some(status) => break status,
                        None => std::thread::sleep(Duration::from_millis(5)),
                    }
                    if clock.elapsed() > PATIENCE && !hangs && all_have_ended(&launcher) {
                        hangs = true;
                        launcher.kill().unwrap();
                    }
                };
                hung += usize::from(hangs);
                let output = launcher.wait_with_output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                if status.success() {
                    break;
                }
                assert!(hangs || killed == Some(true), "{said}");
                assert!(hangs || clock.elapsed() < PATIENCE, "it took {:?}: {said}", clock.elapsed());
                assert!(!said.contains("panicked"), "{said}");
                kills += usize::from(killed == Some(true));
            }
            same(&bench, "whole", &run);
        }
        assert!(hung <= 2, "the launcher hung {hung} times");
    }

    /// A signal to any process, or to the launcher, saves the run and says so by the exit code.
    #[test]
    #[ignore = "needs mpirun, which tests/run.sh installs"]
    fn a_signal_to_any_process_saves_the_run() {
        let bench = bench();
        for (signal, code, rank) in
            [("TERM", 143, Some(0)), ("TERM", 143, Some(2)), ("USR1", 138, Some(1)), ("USR1", 138, None)]
        {
            let run = format!("{signal}{rank:?}").replace(['(', ')'], "");
            let train = segment(&format!(
                "--depth 3 --crop 16 --batch 3 --max-steps 500000 --device cpu --out {run}"
            ));
            let launcher = mpirun(&bench, 3, &train).spawn().unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            while !bench.path(&format!("{run}/model.safetensors")).exists() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let process = rank.map_or(Some(launcher.id()), |rank| process_of(rank, &launcher)).unwrap();
            assert!(send(signal, process));
            let output = launcher.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{signal} to {rank:?}: {said}");
            assert!(said.contains("it was asked to stop after"), "{said}");
            // What was saved goes on.
            bench.succeeds(&format!("train --resume {run} --max-steps 1 --device cpu"));
        }
    }

    /// The job script in `examples/slurm`, where others stand in for Slurm: a job whose time is over is put back into the queue, and the
    /// next one goes on.
    #[test]
    #[ignore = "needs mpirun, which tests/run.sh installs"]
    fn the_job_script_saves_and_goes_on() {
        use std::os::unix::fs::PermissionsExt;

        let bench = bench();
        let stand_ins = [
            (
                "srun",
                "case \"$*\" in *doctor*) echo doctor >> asked; exit;; esac\nwhile case $1 in -*) ;; *) false;; esac; do shift; done\nexec mpirun -n 2 \"$@\"",
            ),
            ("scontrol", "echo \"$@\" >> asked"),
            (
                "msd-gpu",
                concat!("exec ", env!("CARGO_BIN_EXE_msd-gpu"), " \"$@\" --device cpu --depth 3 --crop 16"),
            ),
        ];
        for (name, text) in stand_ins {
            bench.bytes(&format!("bin/{name}"), format!("#!/bin/sh\n{text}\n").as_bytes());
            std::fs::set_permissions(bench.path(&format!("bin/{name}")), PermissionsExt::from_mode(0o755))
                .unwrap();
        }
        let path = format!("{}:{}", bench.path("bin").display(), std::env::var("PATH").unwrap());
        let job = |minutes: &str| {
            let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/slurm/train.sh"));
            in_folder(&mut command, &bench);
            command.env("PATH", &path).env("SLURM_JOB_ID", "77").env("MINUTES", minutes).env("BATCH", "4");
            command.env("TARGETS", "images_labels");
            command.spawn().unwrap()
        };
        let first = job("60");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !bench.path("run/model.safetensors").exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The processes of the step, as Slurm signals them.
        let children = |id: u32| {
            let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()
        };
        let processes: Vec<u32> = children(first.id()).into_iter().flat_map(children).collect();
        assert!(!processes.is_empty());
        assert!(processes.into_iter().filter(|&process| send("USR1", process)).count() >= 2);
        let output = first.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(138), "{said}");
        assert_eq!(bench.text_of("asked"), "doctor\nrequeue 77\n");
        let output = job("0.001").wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("going on from epoch"), "{said}");
        assert_eq!(bench.text_of("asked"), "doctor\nrequeue 77\ndoctor\n");
    }
}
