//! The functions of an MPI library that is loaded while the program runs.
//!
//! The standard leaves open what handles are. Open MPI has pointers to objects that the library exports; MPICH and all libraries that keep
//! its binary interface have integers with fixed values.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{null_mut, without_provenance_mut};
use std::thread;
use std::time::{Duration, Instant};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};

use crate::peers::{Place, VARIABLE};
use crate::{Error, Result};

/// Names of libraries, as systems have them.
const OPEN_MPI: [&str; 3] = ["libmpi.so.40", "libmpi.40.dylib", "libmpi.so"];
const MPICH: [&str; 4] = ["libmpi.so.12", "libmpich.so.12", "libmpi.12.dylib", "libmpich.so"];

/// Objects that Open MPI exports, and MPICH does not: the communicator of all processes and the type of bytes.
const OPEN_MPI_WORLD: &[u8] = b"ompi_mpi_comm_world\0";
const OPEN_MPI_BYTE: &[u8] = b"ompi_mpi_byte\0";
/// The handles of MPICH, from `mpi.h`; they are part of its binary interface.
const MPICH_HANDLES: Handles<c_int> = Handles {
    world: 0x4400_0000,
    byte: 0x4c00_010d,
    no_request: 0x2c00_0000,
    ignored_status: without_provenance_mut(1),
};

/// Only the thread that has joined calls MPI.
const MPI_THREAD_FUNNELED: c_int = 1;
/// How long is waited without a pause until all processes have come to the same place, and then while what they send goes to and fro in
/// pieces; and how long pauses are after that: the longer the more was waited.
const UNTIL_ALL_COME: Duration = Duration::from_micros(100);
const WHILE_ALL_SEND: Duration = Duration::from_millis(50);
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_micros(500);
/// Bytes of the largest text that describes a library: 256 of Open MPI, 8192 of MPICH.
const MOST_TEXT: usize = 8192;

/// What is needed of MPI. By default MPI ends all processes when one of its functions fails, so errors are rarely returned.
pub(super) trait Calls {
    /// What the library calls itself.
    fn name(&self) -> &str;

    /// Joins the other processes; gives the number of this one and how many there are.
    fn begin(&self) -> Result<(usize, usize)>;

    /// Leaves them.
    fn end(&self);

    /// Ends all of them.
    fn abort(&self, code: u8);

    /// A number of each of `size` processes. Waits for the slowest.
    fn gather_lengths(&self, own: u64, size: usize) -> Result<Vec<u64>>;

    /// Bytes of each process, all of which have just come to this: one behind the other, as many as `counts` says of each, which
    /// together are those of `all`.
    fn gather(&self, own: &[u8], counts: &[c_int], all: &mut [u8]) -> Result<()>;
}

type Init = unsafe extern "C" fn(*mut c_int, *mut *mut *mut c_char, c_int, *mut c_int) -> c_int;
type Version = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
type Number<H> = unsafe extern "C" fn(H, *mut c_int) -> c_int;
type Iallgather<H> = unsafe extern "C" fn(*const c_void, c_int, H, *mut c_void, c_int, H, H, *mut H) -> c_int;
type Iallgatherv<H> = unsafe extern "C" fn(
    *const c_void,
    c_int,
    H,
    *mut c_void,
    *const c_int,
    *const c_int,
    H,
    H,
    *mut H,
) -> c_int;
type Test<H> = unsafe extern "C" fn(*mut H, *mut c_int, *mut c_void) -> c_int;
type Abort<H> = unsafe extern "C" fn(H, c_int) -> c_int;
type Finalize = unsafe extern "C" fn() -> c_int;

/// What the library has for the objects and constants that are needed of it.
#[derive(Clone, Copy)]
struct Handles<H> {
    /// The communicator of all processes.
    world: H,
    /// The type of bytes.
    byte: H,
    /// No request, to begin with.
    no_request: H,
    /// Says that nobody wants to know how a request ended.
    ignored_status: *mut c_void,
}

/// The functions of a library whose handles are of type `H`.
struct Functions<H> {
    name: String,
    handles: Handles<H>,
    init: Init,
    rank: Number<H>,
    size: Number<H>,
    iallgather: Iallgather<H>,
    iallgatherv: Iallgatherv<H>,
    test: Test<H>,
    abort: Abort<H>,
    finalize: Finalize,
    /// Stays loaded as long as its functions are here.
    _library: Library,
}

/// Loads the library of the launcher that has started this process.
pub(super) fn load(place: &Place) -> Result<Box<dyn Calls>> {
    let named = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty());
    let names: Vec<&str> = match (&named, place.is_open_mpi) {
        (Some(name), _) => vec![name],
        (None, true) => OPEN_MPI.to_vec(),
        (None, false) => [&MPICH[..], &OPEN_MPI[..]].concat(),
    };
    let mut problems = Vec::new();
    for name in names {
        match open(name) {
            Ok(calls) => return Ok(calls),
            Err(problem) => problems.push(problem),
        }
    }
    let problem = format!(
        "{} processes were started together, but no library of MPI can be loaded ({}); name that of the launcher in the variable {VARIABLE}, or set \
         it to none where each process is to do something by itself",
        place.size,
        problems.join("; ")
    );
    Err(Error::device("MPI", "loading its library", problem))
}

fn open(name: &str) -> std::result::Result<Box<dyn Calls>, String> {
    // SAFETY: loading a library of MPI runs its initialisers, which are made for any program. Open MPI loads plugins that look for the
    // library's functions among the global ones.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) };
    let library = library.map_err(|error| error.to_string())?;
    let object = |name: &[u8]| {
        // SAFETY: only the address is taken.
        let symbol: Option<Symbol<*mut c_void>> = unsafe { library.get(name) }.ok();
        symbol.map(Symbol::into_raw)
    };
    match (object(OPEN_MPI_WORLD), object(OPEN_MPI_BYTE)) {
        (Some(world), Some(byte)) => {
            let handles = Handles { world, byte, no_request: null_mut(), ignored_status: null_mut() };
            functions(library, handles)
        }
        _ => functions(library, MPICH_HANDLES),
    }
    .map_err(|error| format!("{name}: {error}"))
}

fn functions<H: Copy + 'static>(
    library: Library,
    handles: Handles<H>,
) -> std::result::Result<Box<dyn Calls>, libloading::Error> {
    // SAFETY: these are the types of the functions in the standard, with the handles of the library at hand.
    unsafe {
        let version: Version = *library.get(b"MPI_Get_library_version\0")?;
        Ok(Box::new(Functions {
            name: described(version),
            handles,
            init: *library.get(b"MPI_Init_thread\0")?,
            rank: *library.get(b"MPI_Comm_rank\0")?,
            size: *library.get(b"MPI_Comm_size\0")?,
            iallgather: *library.get(b"MPI_Iallgather\0")?,
            iallgatherv: *library.get(b"MPI_Iallgatherv\0")?,
            test: *library.get(b"MPI_Test\0")?,
            abort: *library.get(b"MPI_Abort\0")?,
            finalize: *library.get(b"MPI_Finalize\0")?,
            _library: library,
        }))
    }
}

/// The first words of what a library says of itself.
fn described(version: Version) -> String {
    let mut text = vec![0u8; MOST_TEXT + 1];
    let mut length: c_int = 0;
    // SAFETY: the text has place for the longest description; the function may be called before MPI is joined.
    let failed = unsafe { version(text.as_mut_ptr().cast(), &mut length) };
    let length = usize::try_from(length).unwrap_or(0).min(MOST_TEXT);
    let text = String::from_utf8_lossy(&text[..length]);
    let first = text.lines().next().unwrap_or_default().split(',').next().unwrap_or_default();
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    if failed != 0 || first.is_empty() { "MPI".into() } else { first }
}

impl<H: Copy> Functions<H> {
    fn check(&self, code: c_int, doing: &str) -> Result<()> {
        match code {
            0 => Ok(()),
            code => {
                Err(Error::device(&self.name, doing, format!("it returned the code {code}; start again")))
            }
        }
    }

    /// Waits for a request, with pauses from `eager` on. The library would wait without any, at the expense of whatever else there is to
    /// compute: of the threads that make the next images ready, and of other processes where there are more than processors.
    fn wait(&self, mut request: H, eager: Duration) {
        let begun = Instant::now();
        loop {
            let mut done: c_int = 0;
            // SAFETY: the request was begun by this library.
            let code = unsafe { (self.test)(&mut request, &mut done, self.handles.ignored_status) };
            if code != 0 {
                // Its memory may still be written to, so there is no way back.
                eprintln!("error: {} failed while waiting for the other processes: code {code}", self.name);
                self.abort(1);
            }
            if done != 0 {
                return;
            }
            let waited = begun.elapsed();
            match waited < eager {
                true => thread::yield_now(),
                false => thread::sleep((waited / 16).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)),
            }
        }
    }

    fn number(&self, function: Number<H>) -> Result<usize> {
        let mut number: c_int = 0;
        // SAFETY: MPI was joined, and the number has a place.
        let code = unsafe { function(self.handles.world, &mut number) };
        self.check(code, "asking for the processes")?;
        Ok(usize::try_from(number).unwrap_or(0))
    }
}

impl<H: Copy> Calls for Functions<H> {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin(&self) -> Result<(usize, usize)> {
        let mut provided: c_int = 0;
        // SAFETY: the arguments of the program may be left out since MPI-2. This is called once.
        let code = unsafe { (self.init)(null_mut(), null_mut(), MPI_THREAD_FUNNELED, &mut provided) };
        self.check(code, "joining the other processes")?;
        Ok((self.number(self.rank)?, self.number(self.size)?))
    }

    fn end(&self) {
        // SAFETY: MPI was joined, and is not used any more.
        unsafe { (self.finalize)() };
    }

    fn abort(&self, code: u8) {
        // SAFETY: MPI was joined. This does not return.
        unsafe { (self.abort)(self.handles.world, c_int::from(code)) };
    }

    fn gather_lengths(&self, own: u64, size: usize) -> Result<Vec<u64>> {
        const BYTES: c_int = 8;
        let own = own.to_ne_bytes();
        let mut all = vec![[0u8; BYTES as usize]; size];
        let Handles { world, byte, no_request: mut request, .. } = self.handles;
        let into = all.as_mut_ptr().cast();
        // SAFETY: each of `size` processes, as many as MPI knows of, sends eight bytes, for which there is a place until all have come.
        let code = unsafe {
            (self.iallgather)(own.as_ptr().cast(), BYTES, byte, into, BYTES, byte, world, &mut request)
        };
        self.check(code, "sending numbers to the other processes")?;
        self.wait(request, UNTIL_ALL_COME);
        Ok(all.into_iter().map(u64::from_ne_bytes).collect())
    }

    fn gather(&self, own: &[u8], counts: &[c_int], all: &mut [u8]) -> Result<()> {
        let mut places = Vec::with_capacity(counts.len());
        let mut place: c_int = 0;
        for &count in counts {
            places.push(place);
            place = place.saturating_add(count);
        }
        let own_count = c_int::try_from(own.len()).unwrap_or(c_int::MAX);
        assert!(
            usize::try_from(place) == Ok(all.len()) && counts.contains(&own_count),
            "parts make the whole"
        );
        let Handles { world, byte, no_request: mut request, .. } = self.handles;
        let (from, into) = (own.as_ptr().cast(), all.as_mut_ptr().cast());
        let (counts, places) = (counts.as_ptr(), places.as_ptr());
        // SAFETY: the parts of all processes lie one behind the other in `all`, which ends with the last of them. All of it stays until
        // everything has come.
        let code = unsafe {
            (self.iallgatherv)(from, own_count, byte, into, counts, places, byte, world, &mut request)
        };
        self.check(code, "sending numbers to the other processes")?;
        self.wait(request, WHILE_ALL_SEND);
        Ok(())
    }
}
