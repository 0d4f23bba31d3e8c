//! @NAME@: an adapter, which is where tools come from, in Rust. The tool of this example adds two numbers, in this process. No panic
//! may cross the line.

mod tda;
use std::os::raw::{c_char, c_void};
use tda::*;

const NOTE_TEXT: &str = "id @NAME@\nversion 0.1.0\nprovides tda.adapter/1\nneeds tda.json/1\n";
#[used]
#[link_section = ".note.tda"]
static NOTE: Note<{ (NOTE_TEXT.len() + 3) / 4 * 4 }> = Note::new(NOTE_TEXT);

const SCHEMA: &str = r#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]}"#;

fn tell(conn: u64, kind: u32, cls: u32) {
    let e = ConnEvent { size: size_of::<ConnEvent>(), kind, cls, level: 0, text: Str::NONE, json: Str::NONE };
    unsafe { (host().conn_event)(conn, &e) };
}

fn finish(call: u64, cls: u32, text: &str) {
    let mut r: CallResult = zeroed();
    r.size = size_of::<CallResult>();
    r.cls = cls;
    r.retry_ms = -1;
    r.text = Str::of(text);
    unsafe { (host().finish)(call, &r) };
}

fn event(kind: u32) -> Event {
    let mut e: Event = zeroed();
    e.size = size_of::<Event>();
    e.kind = kind;
    e
}

// ---- tools ----

fn list(call: u64) {
    let mut e = event(EV_ITEM);
    e.name = Str::of("add");
    e.text = Str::of("adds two whole numbers");
    e.json = Str::of(SCHEMA);
    unsafe { (host().emit)(call, &e) };
    finish(call, C_OK, "");
}

unsafe fn number(root: Json, name: &str) -> Option<i64> {
    let mut v = 0;
    ((json().i64)((json().key)(root, Str::of(name)), &mut v) != 0).then_some(v)
}

unsafe fn sum(call: u64, args: Str) -> Option<i64> {
    let mut root = Json::NONE;
    if (json().parse)(call, args, &mut root) != OK {
        return None;
    }
    number(root, "a")?.checked_add(number(root, "b")?)
}

unsafe fn add(call: u64, args: Str) {
    let Some(sum) = sum(call, args) else {
        return finish(call, C_REQUEST, "add wants a and b, two whole numbers");
    };
    let text = sum.to_string();
    let mut part: Part = zeroed();
    part.size = size_of::<Part>();
    part.kind = PART_TEXT;
    part.text = Str::of(&text);
    let mut e = event(EV_CONTENT);
    e.part = &part;
    (host().emit)(call, &e);
    finish(call, C_OK, "");
}

unsafe extern "C" fn start(_: *mut c_void, _conn: u64, call: u64, r: *const AdapterRequest) -> Status {
    match (*r).op {
        AOP_LIST_TOOLS => list(call),
        AOP_CALL_TOOL if (*r).name.bytes() == b"add" => add(call, (*r).args),
        _ => finish(call, C_NOT_FOUND, "there is nothing of this name"),
    }
    OK
}

// ---- connections ----

unsafe extern "C" fn connect(_: *mut c_void, conn: u64, _server: *const c_void) -> Status {
    tell(conn, CONN_READY, C_OK);
    OK
}

unsafe extern "C" fn conn_flow(_: *mut c_void, _conn: u64, _e: *const FlowEvent) {}

unsafe extern "C" fn conn_close(_: *mut c_void, conn: u64) {
    tell(conn, CONN_CLOSED, C_CANCELLED);
}

// ---- the plugin ----

static ADAPTER: Adapter = Adapter {
    size: size_of::<Adapter>(),
    flags: 0,
    call_state_size: 0,
    conn_state_size: 0,
    open: None,
    close: None,
    connect,
    conn_flow,
    conn_wake: None,
    conn_close,
    conn_drop: None,
    start,
    answer: None,
    cancel: None,
    drop: None,
};

unsafe extern "C" fn interface(id: Str) -> *const c_void {
    if id.bytes() == b"tda.adapter/1" {
        return &ADAPTER as *const Adapter as *const c_void;
    }
    std::ptr::null()
}

static PLUGIN: Plugin = Plugin {
    size: size_of::<Plugin>(),
    abi_minor: ABI_MINOR,
    id: b"@NAME@\0".as_ptr() as *const c_char,
    version: b"0.1.0\0".as_ptr() as *const c_char,
    boot: None,
    interface,
};

/// # Safety
/// Called by the host, once.
#[no_mangle]
pub unsafe extern "C" fn tda_plugin_entry_v0(h: *const Host) -> *const Plugin {
    if take_host(h) {
        return &PLUGIN;
    }
    std::ptr::null()
}
