//! Tests of the reader of pickles.

use super::*;

fn torch_only(class: Class) -> bool {
    class.module == "torch"
}

fn read_all(bytes: &[u8]) -> Problem<Pickle<'_>> {
    read(bytes, torch_only, "excuse")
}

fn refusal(bytes: &[u8]) -> String {
    read_all(bytes).unwrap_err()
}

#[test]
fn plain_containers_come_back() {
    // pickle.dumps({'a': [1, -2, 300, None, True], 'b': (1.5, -70000)}, protocol=2)
    let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM\x2c\x01N\x88eX\x01\x00\x00\x00bq\x03G?\xf8\x00\x00\x00\x00\x00\x00J\x90\xee\xfe\xff\x86q\x04u.rest";
    let pickle = read_all(bytes).unwrap();
    assert_eq!(pickle.end, bytes.len() - 4);
    let Some(Value::List(items)) = pickle.entry(pickle.root(), "a") else { panic!("{pickle:?}") };
    let items: Vec<_> = items.iter().map(|&id| pickle.get(id).clone()).collect();
    assert_eq!(items, [Value::Int(1), Value::Int(-2), Value::Int(300), Value::None, Value::Bool(true)]);
    let Some(Value::Tuple(items)) = pickle.entry(pickle.root(), "b") else { panic!("{pickle:?}") };
    assert_eq!(*pickle.get(items[1]), Value::Int(-70_000));
}

#[test]
fn foreign_classes_are_named_and_not_called() {
    for bytes in [
        // What `__reduce__` gives for os.system('touch /tmp/x'), in protocols 2 and 4.
        b"\x80\x02cposix\nsystem\nq\x00X\x0c\x00\x00\x00touch /tmp/xq\x01\x85q\x02Rq\x03.".as_slice(),
        b"\x80\x04\x95\x2a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x0ctouch /tmp/x\x94\x85\x94R\x94.",
        // And when what follows is damaged too.
        b"\x80\x02cposix\nsystem\n(S'touch /tmp/x'\ntR.",
    ] {
        let text = refusal(bytes);
        assert!(text.contains("posix.system") && text.contains("nothing was run"), "{text}");
    }
    // {'excuse': posix.system}
    assert!(read_all(b"\x80\x02}X\x06\x00\x00\x00excusecposix\nsystem\ns.").is_ok());
}

#[test]
fn containers_in_themselves_and_one_another_are_cheap() {
    // l = []; l.append(l)
    assert!(read_all(b"\x80\x02]q\x00h\x00a.").is_ok());
    // Lists a hundred thousand deep.
    let deep = [vec![b']'; 100_000], vec![b'a'; 99_999], vec![b'.']].concat();
    assert!(read_all(&deep).is_ok());
}

#[test]
fn damage_is_refused_everywhere() {
    for bytes in [
        b"".as_slice(),
        b".",
        b"a.",
        b"]t.",
        b"]h\x07.",
        b"K",
        b"X\xff\xff\xff\xff",
        b"X\x01\x00\x00\x00\xff.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.",
        b"ctorch",
        b"}(K\x01u.",
        b"](0t.",
        b"\x93.",
        b"K\x01K\x02a.",
        b"(0.",
        b"\x86.",
        b"i.",
        b"\x8a\x09\x00.",
    ] {
        assert!(read_all(bytes).is_err(), "{bytes:?}");
    }
    let many = [vec![b'N'; MAX_VALUES + 1], vec![b'.']].concat();
    assert!(refusal(&many).contains("values"));
}
