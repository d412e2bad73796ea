//! Reads Python pickles as data: plain values and containers, and the *names* of classes with what they would be
//! called with. Nothing is looked up, called or executed.
//!
//! The instructions are those that `torch.save` has written through the years (pickle protocols 2 to 5; Python's
//! `pickletools` documents them); any other one is refused. Values lie in one flat list and point at each other by
//! index, so depth and cycles cost nothing and nothing is ever copied out of the file.

use std::collections::HashMap;

use super::Problem;

/// Most bytes of one pickle, without the tensors' numbers: a network of a thousand layers takes half a megabyte.
const MAX_BYTES: usize = 16 << 20;
/// Most values of one pickle.
const MAX_VALUES: usize = 1 << 20;

/// The place of a value in its [`Pickle`].
pub(super) type Id = u32;

/// The name of a Python class or function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class<'a> {
    pub module: &'a str,
    pub name: &'a str,
}

impl std::fmt::Display for Class<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A number that nothing here needs: a float, or an integer beyond 64 bits.
    OtherNumber,
    Text(&'a str),
    Bytes,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    /// A dictionary, or an `OrderedDict`.
    Dict(Vec<(Id, Id)>),
    Class(Class<'a>),
    /// What a class or function would have given, had it been called with `arguments`.
    Object {
        class: Id,
        arguments: Id,
    },
    /// What is kept outside the pickle under this description.
    Kept(Id),
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
    /// Where the pickle ends in the bytes that were given.
    pub end: usize,
}

impl<'a> Pickle<'a> {
    /// The value that the pickle stands for.
    pub fn root(&self) -> &Value<'a> {
        self.get(self.root)
    }

    pub fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    /// All values, in the order in which they were read.
    pub fn values(&self) -> &[Value<'a>] {
        &self.values
    }

    /// The entry `key` of a dictionary; the last one where there are several, as in Python.
    pub fn entry(&self, dict: &Value<'a>, key: &str) -> Option<&Value<'a>> {
        let Value::Dict(entries) = dict else { return None };
        let found = entries.iter().rev().find(|(k, _)| *self.get(*k) == Value::Text(key))?;
        Some(self.get(found.1))
    }
}

/// Reads the pickle at the start of `bytes`. Classes for which `allowed` is false are refused by name, unless the
/// dictionary at the root has the key `excuse`: the caller then has a better error message.
pub(super) fn read<'a>(bytes: &'a [u8], allowed: fn(Class) -> bool, excuse: &str) -> Problem<Pickle<'a>> {
    let mut reader = Reader {
        bytes: &bytes[..bytes.len().min(MAX_BYTES)],
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let end = reader.run();
    let foreign = reader.values.iter().find_map(|value| match value {
        Value::Class(class) if !allowed(*class) => Some(class.to_string()),
        _ => None,
    });
    let pickle = end.map(|root| Pickle { values: reader.values, root, end: reader.at });
    if let Some(name) = foreign {
        let excused = pickle.as_ref().is_ok_and(|pickle| pickle.entry(pickle.root(), excuse).is_some());
        if !excused {
            return Err(format!(
                "holds the Python class or function {}, of which nothing was run; wanted only tensors and plain containers: save the model's state_dict() in Python and import that",
                shortened(&name)
            ));
        }
    }
    pickle
}

/// At most 80 characters of a name that a file gave, without control characters.
pub(super) fn shortened(name: &str) -> String {
    let clean: String = name.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect();
    if name.chars().nth(80).is_some() { format!("{clean}...") } else { clean }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at which groups of values start.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Reader<'a> {
    /// Runs to the instruction that ends the pickle, and gives its value.
    fn run(&mut self) -> Problem<Id> {
        loop {
            let at = self.at;
            let instruction = self.number(1)? as u8;
            match instruction {
                b'.' => return self.pop(),
                0x80 => _ = self.number(1)?,
                0x95 => _ = self.number(8)?,
                b'(' => self.marks.push(self.stack.len()),
                b'0' => _ = self.pop()?,
                b'1' => _ = self.group()?,
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                b'N' => self.push(Value::None)?,
                0x88 | 0x89 => self.push(Value::Bool(instruction == 0x88))?,
                b'J' => {
                    let value = self.number(4)? as u32 as i32;
                    self.push(Value::Int(value.into()))?;
                }
                b'K' | b'M' => {
                    let value = self.number(if instruction == b'K' { 1 } else { 2 })?;
                    self.push(Value::Int(value as i64))?;
                }
                0x8a => {
                    let length = self.number(1)?;
                    let value = long(self.take(length)?);
                    self.push(value)?;
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Value::OtherNumber)?;
                }
                b'X' | 0x8c | 0x8d => {
                    let length = self.number(match instruction {
                        b'X' => 4,
                        0x8c => 1,
                        _ => 8,
                    })?;
                    let text = self.text(length)?;
                    self.push(Value::Text(text))?;
                }
                b'B' | b'C' | 0x8e => {
                    let length = self.number(match instruction {
                        b'B' => 4,
                        b'C' => 1,
                        _ => 8,
                    })?;
                    self.take(length)?;
                    self.push(Value::Bytes)?;
                }
                b']' => self.push(Value::List(Vec::new()))?,
                b')' => self.push(Value::Tuple(Vec::new()))?,
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b't' => {
                    let items = self.group()?;
                    self.push(Value::Tuple(items))?;
                }
                0x85..=0x87 => {
                    let count = usize::from(instruction - 0x84);
                    let start = self.stack.len().checked_sub(count).ok_or_else(damaged)?;
                    let items = self.stack.split_off(start);
                    self.push(Value::Tuple(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend_list(&[item])?;
                }
                b'e' => {
                    let items = self.group()?;
                    self.extend_list(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.extend_dict(&[key, value])?;
                }
                b'u' => {
                    let items = self.group()?;
                    self.extend_dict(&items)?;
                }
                b'q' | b'r' => {
                    let place = self.number(if instruction == b'q' { 1 } else { 4 })?;
                    let top = self.top()?;
                    self.memo.insert(place, top);
                }
                0x94 => {
                    let top = self.top()?;
                    self.memo.insert(self.memo.len() as u64, top);
                }
                b'h' | b'j' => {
                    let place = self.number(if instruction == b'h' { 1 } else { 4 })?;
                    let id = *self.memo.get(&place).ok_or_else(damaged)?;
                    self.stack.push(id);
                }
                b'c' => {
                    let class = Class { module: self.line()?, name: self.line()? };
                    self.push(Value::Class(class))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (&self.values[module as usize], &self.values[name as usize]) {
                        (&Value::Text(module), &Value::Text(name)) => {
                            self.push(Value::Class(Class { module, name }))?;
                        }
                        _ => return Err(damaged()),
                    }
                }
                b'R' | 0x81 => {
                    let (arguments, class) = (self.pop()?, self.pop()?);
                    let ordered = Value::Class(Class { module: "collections", name: "OrderedDict" });
                    let empty = self.values[arguments as usize] == Value::Tuple(Vec::new());
                    let object = match empty && self.values[class as usize] == ordered {
                        true => Value::Dict(Vec::new()),
                        false => Value::Object { class, arguments },
                    };
                    self.push(object)?;
                }
                // Attributes of the object below, such as the versions that a state_dict notes: of no use here.
                b'b' => _ = self.pop()?,
                b'Q' => {
                    let description = self.pop()?;
                    self.push(Value::Kept(description))?;
                }
                other => {
                    return Err(format!(
                        "has the pickle instruction {other:#04x} at byte {at}, which no file of tensors needs; wanted a file that torch.save wrote"
                    ));
                }
            }
        }
    }

    fn push(&mut self, value: Value<'a>) -> Problem<()> {
        if self.values.len() == MAX_VALUES {
            return Err(format!("has a pickle of more than {MAX_VALUES} values; wanted a state_dict alone"));
        }
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    fn top(&self) -> Problem<Id> {
        self.stack.last().copied().ok_or_else(damaged)
    }

    fn pop(&mut self) -> Problem<Id> {
        self.stack.pop().ok_or_else(damaged)
    }

    /// Takes all values since the last mark off the stack.
    fn group(&mut self) -> Problem<Vec<Id>> {
        let start = self.marks.pop().filter(|start| *start <= self.stack.len()).ok_or_else(damaged)?;
        Ok(self.stack.split_off(start))
    }

    fn extend_list(&mut self, items: &[Id]) -> Problem<()> {
        let list = self.top()?;
        match &mut self.values[list as usize] {
            Value::List(list) => list.extend(items),
            // A subclass of list would do as it likes with them; it is named later.
            Value::Object { .. } => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Problem<()> {
        let dict = self.top()?;
        let (pairs, []) = items.as_chunks::<2>() else { return Err(damaged()) };
        match &mut self.values[dict as usize] {
            Value::Dict(dict) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            Value::Object { .. } => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn take(&mut self, length: u64) -> Problem<&'a [u8]> {
        let left = &self.bytes[self.at..];
        let length =
            usize::try_from(length).ok().filter(|length| *length <= left.len()).ok_or_else(|| {
                format!("has a pickle that breaks off at byte {}; copy the file again", self.bytes.len())
            })?;
        self.at += length;
        Ok(&left[..length])
    }

    /// An unsigned number of `width` bytes, at most 8, least significant first.
    fn number(&mut self, width: usize) -> Problem<u64> {
        let bytes = self.take(width as u64)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn text(&mut self, length: u64) -> Problem<&'a str> {
        std::str::from_utf8(self.take(length)?).map_err(|_| damaged())
    }

    fn line(&mut self) -> Problem<&'a str> {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n').ok_or_else(damaged)?;
        let text = self.text(length as u64)?;
        self.at += 1;
        Ok(text)
    }
}

/// An integer in two's complement, least significant byte first.
fn long(bytes: &[u8]) -> Value<'static> {
    if bytes.len() > 8 {
        return Value::OtherNumber;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}

fn damaged() -> String {
    "has a damaged pickle; copy the file again, or save it again with torch.save".into()
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;
