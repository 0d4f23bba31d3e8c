//! @NAME@: a provider of models, in Rust. The service of this example is asked with POST BASE_URL/generate and answers as a stream
//! of events: {"text": "Hel"}, {"text": "lo"}, {"done": true}. Put your service's words in their place. No panic may cross the line.

mod tda;
use std::os::raw::{c_char, c_void};
use tda::*;

const NOTE_TEXT: &str = "id @NAME@\nversion 0.1.0\nprovides tda.provider/1\nneeds tda.json/1\nhost https://api.example.com\n\
config base_url url u https://api.example.com address of the service\nconfig api_key secret ur - the key\n";
#[used]
#[link_section = ".note.tda"]
static NOTE: Note<{ (NOTE_TEXT.len() + 3) / 4 * 4 }> = Note::new(NOTE_TEXT);

/// One call. The host's state for it holds a pointer to this.
struct Call {
    handle: u64,
    http_status: i32,
}

impl Call {
    fn emit(&self, kind: u32, text: Str) {
        let mut e: Event = zeroed();
        e.size = size_of::<Event>();
        e.kind = kind;
        e.part_kind = PART_TEXT;
        e.text = text;
        e.stop = if kind == EV_STOP { STOP_END_TURN } else { 0 };
        unsafe { (host().emit)(self.handle, &e) };
    }

    fn finish(&self, cls: u32) {
        let mut r: CallResult = zeroed();
        r.size = size_of::<CallResult>();
        r.cls = cls;
        r.retry_ms = -1;
        r.http_status = self.http_status;
        unsafe { (host().finish)(self.handle, &r) };
    }

    unsafe fn open(&self, r: &Request) -> Status {
        let (mut body, mut base, mut flow) = (Str::NONE, Str::NONE, 0u64);
        let w = (json().writer)(self.handle);
        (json().begin_object)(w);
        (json().put_key)(w, Str::of("model"));
        (json().put_str)(w, r.model);
        (json().put_key)(w, Str::of("prompt"));
        (json().put_str)(w, last_text(r));
        (json().end_object)(w);
        let mut status = (json().text)(w, &mut body);
        if status == OK {
            status = (host().setting)(self.handle, Str::of("base_url"), &mut base);
        }
        if status != OK {
            return status;
        }
        let mut url = base.bytes().to_vec();
        url.extend_from_slice(b"/generate");
        let auth = Auth { size: size_of::<Auth>(), kind: AUTH_HEADER, header: Str::of("authorization"), prefix: Str::of("Bearer "), secret: Str::of("api_key"), optional: 0, reserved: 0 };
        let header = Kv { key: Str::of("content-type"), val: Str::of("application/json") };
        let mut q: FlowRequest = zeroed();
        q.size = size_of::<FlowRequest>();
        q.kind = FLOW_HTTP;
        q.framing = FRAME_SSE;
        q.n_headers = 1;
        q.headers = &header;
        q.url = Str { p: url.as_ptr() as *const c_char, n: url.len() };
        q.body = body;
        q.auth = &auth;
        (host().flow_open)(self.handle, &q, &mut flow)
    }

    fn take_status(&mut self, status: i32) {
        self.http_status = status;
        match class_of(status) {
            C_OK => self.emit(EV_PART_START, Str::NONE),
            cls => self.finish(cls),
        }
    }

    unsafe fn take_item(&self, data: Str) {
        let mut root = Json::NONE;
        let mut done = 0;
        if (json().parse)(self.handle, data, &mut root) != OK {
            return self.finish(C_PROTOCOL);
        }
        let text = (json().str)((json().key)(root, Str::of("text")));
        if text.n > 0 {
            self.emit(EV_TEXT, text);
        }
        if (json().boolean)((json().key)(root, Str::of("done")), &mut done) != 0 && done != 0 {
            self.emit(EV_PART_STOP, Str::NONE);
            self.emit(EV_STOP, Str::NONE);
            self.finish(C_OK);
        }
    }
}

unsafe fn last_text(r: &Request) -> Str {
    if r.n_msgs == 0 {
        return Str::of("");
    }
    let msg = &**r.msgs.add(r.n_msgs as usize - 1);
    if msg.n_parts == 0 || (**msg.parts).kind != PART_TEXT {
        return Str::of("");
    }
    (**msg.parts).text
}

/// The call's state holds a pointer to its Call.
unsafe fn call_of<'a>(handle: u64) -> Option<&'a mut Call> {
    let slot = (host().state)(handle) as *mut *mut Call;
    if slot.is_null() {
        return None;
    }
    (*slot).as_mut()
}

fn class_of(status: i32) -> u32 {
    match status {
        200..=299 => C_OK,
        401 => C_AUTH,
        403 => C_PERMISSION,
        404 => C_NOT_FOUND,
        429 => C_RATE,
        500.. => C_UPSTREAM,
        _ => C_REQUEST,
    }
}

unsafe extern "C" fn start(_: *mut c_void, handle: u64, r: *const Request) -> Status {
    let call = Box::new(Call { handle, http_status: 0 });
    let known = (*r).op == OP_CHAT || (*r).op == OP_VALIDATE;
    if !known || call.open(&*r) != OK {
        call.finish(C_REQUEST);
    }
    *((host().state)(handle) as *mut *mut Call) = Box::into_raw(call);
    OK
}

/// After finish nothing comes any more.
unsafe extern "C" fn on_flow(_: *mut c_void, handle: u64, e: *const FlowEvent) {
    let (Some(c), e) = (call_of(handle), &*e) else { return };
    match e.kind {
        FLOW_STATUS => c.take_status(e.status),
        FLOW_ITEM => c.take_item(e.data),
        FLOW_END => c.finish(C_PROTOCOL), // without "done" it was cut off
        FLOW_FAIL => c.finish(e.cls),
        _ => {}
    }
}

unsafe extern "C" fn drop_call(_: *mut c_void, handle: u64) {
    if let Some(c) = call_of(handle) {
        drop(Box::from_raw(c));
    }
}

static PROVIDER: Provider = Provider {
    size: size_of::<Provider>(),
    flags: 0,
    call_state_size: size_of::<*mut Call>(),
    reserved: 0,
    open: None,
    close: None,
    start,
    on_flow,
    on_wake: None,
    cancel: None,
    drop: Some(drop_call),
    run: None,
};

unsafe extern "C" fn interface(id: Str) -> *const c_void {
    if id.bytes() == b"tda.provider/1" {
        return &PROVIDER as *const Provider as *const c_void;
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
