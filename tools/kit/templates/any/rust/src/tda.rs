//! The interface of tdad for plugins, as far as this one needs it: the structs of include/tda/*.h, field by field. Structs begin
//! with their size and grow at the end only.
#![allow(dead_code)]

use std::os::raw::{c_char, c_void};

pub const ABI_MAJOR: u32 = 0;
pub const ABI_MINOR: u32 = @ABI_MINOR@;

pub type Status = i32;
pub const OK: Status = 0;
pub const E_INVALID: Status = -1;
pub const E_NOMEM: Status = -2;
pub const E_AGAIN: Status = -7;

/// Borrowed bytes: they live until the call that they are passed to, or came with, returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub p: *const c_char,
    pub n: usize,
}

impl Str {
    pub const NONE: Str = Str { p: std::ptr::null(), n: 0 };
    pub const fn of(s: &str) -> Str {
        Str { p: s.as_ptr() as *const c_char, n: s.len() }
    }
    /// # Safety
    /// The text must not be kept beyond the callback.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.n == 0 {
            return &[];
        }
        std::slice::from_raw_parts(self.p as *const u8, self.n)
    }
}

#[repr(C)]
pub struct Kv {
    pub key: Str,
    pub val: Str,
}

#[repr(C)]
pub struct Part {
    pub size: u32,
    pub kind: u32,
    pub is_error: u32,
    pub n_parts: u32,
    pub parts: *const *const Part,
    pub text: Str,
    pub id: Str,
    pub name: Str,
    pub mime: Str,
    pub data: Str,
    pub url: Str,
    pub opaque_tag: Str,
    pub opaque: Str,
}

#[repr(C)]
pub struct Msg {
    pub size: u32,
    pub role: u32,
    pub n_parts: u32,
    pub reserved: u32,
    pub parts: *const *const Part,
}

#[repr(C)]
pub struct Request {
    pub size: u32,
    pub op: u32,
    pub model: Str,
    pub msgs: *const *const Msg,
    pub tools: *const *const c_void,
    pub n_msgs: u32,
    pub n_tools: u32,
    pub tool_choice: u32,
    pub set: u32,
    pub choice_name: Str,
    pub max_tokens: u64,
    pub temperature: f64,
    pub top_p: f64,
    pub stop: *const Str,
    pub n_stop: u32,
    pub stream: u32,
    pub reasoning: Str,
    pub extra: Str,
    pub deadline_ms: i64,
}

pub const PART_TEXT: u32 = 1;
pub const OP_CHAT: u32 = 1;
pub const OP_VALIDATE: u32 = 2;
pub const EV_PART_START: u32 = 2;
pub const EV_TEXT: u32 = 3;
pub const EV_PART_STOP: u32 = 7;
pub const EV_STOP: u32 = 9;
pub const EV_ITEM: u32 = 12;
pub const EV_CONTENT: u32 = 13;
pub const STOP_END_TURN: u32 = 1;

#[repr(C)]
pub struct Event {
    pub size: u32,
    pub kind: u32,
    pub index: u32,
    pub part_kind: u32,
    pub stop: u32,
    pub reserved: u32,
    pub id: Str,
    pub name: Str,
    pub text: Str,
    pub raw: Str,
    pub json: Str,
    pub usage: *const c_void,
    pub part: *const Part,
}

pub const C_OK: u32 = 0;
pub const C_AUTH: u32 = 1;
pub const C_PERMISSION: u32 = 2;
pub const C_NOT_FOUND: u32 = 3;
pub const C_REQUEST: u32 = 4;
pub const C_TOO_LARGE: u32 = 5;
pub const C_RATE: u32 = 6;
pub const C_UPSTREAM: u32 = 9;
pub const C_PROTOCOL: u32 = 12;
pub const C_CANCELLED: u32 = 13;
pub const C_INTERNAL: u32 = 16;

#[repr(C)]
pub struct CallResult {
    pub size: u32,
    pub cls: u32,
    pub retry_ms: i64,
    pub http_status: i32,
    pub is_error: u32,
    pub code: Str,
    pub text: Str,
    pub request_id: Str,
}

pub const FLOW_HTTP: u32 = 1;
pub const FRAME_SSE: u32 = 1;
pub const AUTH_HEADER: u32 = 1;
pub const FLOW_STATUS: u32 = 1;
pub const FLOW_ITEM: u32 = 2;
pub const FLOW_END: u32 = 3;
pub const FLOW_FAIL: u32 = 4;

/// As in the first minor; what came later is beyond `size`.
#[repr(C)]
pub struct Auth {
    pub size: u32,
    pub kind: u32,
    pub header: Str,
    pub prefix: Str,
    pub secret: Str,
    pub optional: u32,
    pub reserved: u32,
}

#[repr(C)]
pub struct FlowRequest {
    pub size: u32,
    pub kind: u32,
    pub framing: u32,
    pub n_headers: u32,
    pub headers: *const Kv,
    pub method: Str,
    pub url: Str,
    pub body: Str,
    pub auth: *const Auth,
    pub idle_ms: i64,
    pub total_ms: i64,
    pub max_bytes: u64,
}

#[repr(C)]
pub struct FlowEvent {
    pub size: u32,
    pub kind: u32,
    pub flow: u64,
    pub status: i32,
    pub cls: u32,
    pub headers: *const Kv,
    pub n_headers: u32,
    pub reserved: u32,
    pub name: Str,
    pub id: Str,
    pub data: Str,
    pub text: Str,
}

pub const CONN_READY: u32 = 1;
pub const CONN_CLOSED: u32 = 3;

#[repr(C)]
pub struct ConnEvent {
    pub size: u32,
    pub kind: u32,
    pub cls: u32,
    pub level: u32,
    pub text: Str,
    pub json: Str,
}

pub const AOP_LIST_TOOLS: u32 = 1;
pub const AOP_CALL_TOOL: u32 = 2;

#[repr(C)]
pub struct AdapterRequest {
    pub size: u32,
    pub op: u32,
    pub name: Str,
    pub args: Str,
    pub deadline_ms: i64,
}

type Unused = Option<unsafe extern "C" fn()>;

#[repr(C)]
pub struct Host {
    pub size: u32,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub reserved: u32,
    pub log: unsafe extern "C" fn(u64, u32, Str),
    pub extension: unsafe extern "C" fn(Str) -> *const c_void,
    pub state: unsafe extern "C" fn(u64) -> *mut c_void,
    pub emit: unsafe extern "C" fn(u64, *const Event) -> Status,
    pub finish: unsafe extern "C" fn(u64, *const CallResult) -> Status,
    pub wake: unsafe extern "C" fn(u64, u64) -> Status,
    pub timer: unsafe extern "C" fn(u64, u64, u32) -> Status,
    pub ctx_get: unsafe extern "C" fn(u64, u32, *mut Str) -> Status,
    pub ctx_put: unsafe extern "C" fn(u64, u32, Str) -> Status,
    pub setting: unsafe extern "C" fn(u64, Str, *mut Str) -> Status,
    pub object_put: Unused,
    pub object_get: Unused,
    pub conn_event: unsafe extern "C" fn(u64, *const ConnEvent) -> Status,
    pub flow_open: unsafe extern "C" fn(u64, *const FlowRequest, *mut u64) -> Status,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Json {
    pub doc: *const c_void,
    pub node: u64,
}

impl Json {
    pub const NONE: Json = Json { doc: std::ptr::null(), node: 0 };
}

#[repr(C)]
pub struct JsonApi {
    pub size: u32,
    pub reserved: u32,
    pub parse: unsafe extern "C" fn(u64, Str, *mut Json) -> Status,
    pub kind: unsafe extern "C" fn(Json) -> u32,
    pub get: unsafe extern "C" fn(Json, *const c_char) -> Json,
    pub key: unsafe extern "C" fn(Json, Str) -> Json,
    pub first: unsafe extern "C" fn(Json) -> Json,
    pub next: unsafe extern "C" fn(Json) -> Json,
    pub name: unsafe extern "C" fn(Json) -> Str,
    pub count: unsafe extern "C" fn(Json) -> u64,
    pub str: unsafe extern "C" fn(Json) -> Str,
    pub raw: unsafe extern "C" fn(Json) -> Str,
    pub i64: unsafe extern "C" fn(Json, *mut i64) -> i32,
    pub f64: unsafe extern "C" fn(Json, *mut f64) -> i32,
    pub boolean: unsafe extern "C" fn(Json, *mut i32) -> i32,
    pub writer: unsafe extern "C" fn(u64) -> *mut c_void,
    pub begin_object: unsafe extern "C" fn(*mut c_void),
    pub end_object: unsafe extern "C" fn(*mut c_void),
    pub begin_array: unsafe extern "C" fn(*mut c_void),
    pub end_array: unsafe extern "C" fn(*mut c_void),
    pub put_key: unsafe extern "C" fn(*mut c_void, Str),
    pub put_str: unsafe extern "C" fn(*mut c_void, Str),
    pub put_raw: unsafe extern "C" fn(*mut c_void, Str),
    pub put_i64: unsafe extern "C" fn(*mut c_void, i64),
    pub put_u64: unsafe extern "C" fn(*mut c_void, u64),
    pub put_f64: unsafe extern "C" fn(*mut c_void, f64),
    pub put_bool: unsafe extern "C" fn(*mut c_void, i32),
    pub put_null: unsafe extern "C" fn(*mut c_void),
    pub text: unsafe extern "C" fn(*mut c_void, *mut Str) -> Status,
}

type OpenFn = unsafe extern "C" fn(u32, *mut *mut c_void) -> Status;
type SelfFn = unsafe extern "C" fn(*mut c_void);

#[repr(C)]
pub struct Provider {
    pub size: u32,
    pub flags: u32,
    pub call_state_size: u32,
    pub reserved: u32,
    pub open: Option<OpenFn>,
    pub close: Option<SelfFn>,
    pub start: unsafe extern "C" fn(*mut c_void, u64, *const Request) -> Status,
    pub on_flow: unsafe extern "C" fn(*mut c_void, u64, *const FlowEvent),
    pub on_wake: Option<unsafe extern "C" fn(*mut c_void, u64, u64)>,
    pub cancel: Option<unsafe extern "C" fn(*mut c_void, u64)>,
    pub drop: Option<unsafe extern "C" fn(*mut c_void, u64)>,
    pub run: Unused,
}

#[repr(C)]
pub struct Adapter {
    pub size: u32,
    pub flags: u32,
    pub call_state_size: u32,
    pub conn_state_size: u32,
    pub open: Option<OpenFn>,
    pub close: Option<SelfFn>,
    pub connect: unsafe extern "C" fn(*mut c_void, u64, *const c_void) -> Status,
    pub conn_flow: unsafe extern "C" fn(*mut c_void, u64, *const FlowEvent),
    pub conn_wake: Option<unsafe extern "C" fn(*mut c_void, u64, u64)>,
    pub conn_close: unsafe extern "C" fn(*mut c_void, u64),
    pub conn_drop: Option<unsafe extern "C" fn(*mut c_void, u64)>,
    pub start: unsafe extern "C" fn(*mut c_void, u64, u64, *const AdapterRequest) -> Status,
    pub answer: Unused,
    pub cancel: Option<unsafe extern "C" fn(*mut c_void, u64, u64)>,
    pub drop: Option<unsafe extern "C" fn(*mut c_void, u64, u64)>,
}

#[repr(C)]
pub struct Plugin {
    pub size: u32,
    pub abi_minor: u32,
    pub id: *const c_char,
    pub version: *const c_char,
    pub boot: Option<unsafe extern "C" fn() -> Status>,
    pub interface: unsafe extern "C" fn(Str) -> *const c_void,
}

unsafe impl Sync for Provider {}
unsafe impl Sync for Adapter {}
unsafe impl Sync for Plugin {}

/// The ELF note of `N` bytes of text: what the plugin is, readable without running any of it.
#[repr(C, align(4))]
pub struct Note<const N: usize> {
    pub namesz: u32,
    pub descsz: u32,
    pub kind: u32,
    pub owner: [u8; 4],
    pub abi_major: u32,
    pub abi_minor: u32,
    pub text: [u8; N],
}

impl<const N: usize> Note<N> {
    /// N is the text's length, rounded up to a multiple of 4.
    pub const fn new(text: &str) -> Note<N> {
        let mut padded = [0u8; N];
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            padded[i] = bytes[i];
            i += 1;
        }
        Note { namesz: 4, descsz: 8 + N as u32, kind: 1, owner: *b"TDA\0", abi_major: ABI_MAJOR, abi_minor: ABI_MINOR, text: padded }
    }
}

pub const fn size_of<T>() -> u32 {
    std::mem::size_of::<T>() as u32
}

pub fn zeroed<T>() -> T {
    unsafe { std::mem::zeroed() }
}

static mut HOST: *const Host = std::ptr::null();
static mut JSON: *const JsonApi = std::ptr::null();

pub fn host() -> &'static Host {
    unsafe { &*HOST }
}

pub fn json() -> &'static JsonApi {
    unsafe { &*JSON }
}

/// What the entry does with its argument; false: refuse.
/// # Safety
/// `h` is the host's table.
pub unsafe fn take_host(h: *const Host) -> bool {
    if (*h).size < size_of::<Host>() || (*h).abi_major != ABI_MAJOR {
        return false;
    }
    HOST = h;
    JSON = ((*h).extension)(Str::of("tda.json/1")) as *const JsonApi;
    !JSON.is_null()
}
