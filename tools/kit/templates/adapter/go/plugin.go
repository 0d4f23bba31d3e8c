// @NAME@: an adapter, which is where tools come from, in Go. The tool of this example adds two numbers, in this process. No panic may
// cross the line.
//
// Go's runtime brings threads of its own: at most one such plugin in a daemon.
package main

/*
#cgo pkg-config: tda-plugin
#include "shim.h"
*/
import "C"

import (
	"encoding/json"
	"strconv"
	"unsafe"
)

const schema = `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]}`

// Borrowed text, copied.
func text(s C.tda_str) string {
	return string(C.GoBytes(unsafe.Pointer(s.p), C.int(s.n)))
}

// Text of Go's, lent to the host until free.
func lend(s string) C.tda_str {
	return C.tda_str{p: C.CString(s), n: C.size_t(len(s))}
}

func free(list ...C.tda_str) {
	for _, s := range list {
		C.free(unsafe.Pointer(s.p))
	}
}

func finish(call C.tda_call, cls C.uint32_t, why string) {
	s := lend(why)
	defer free(s)
	C.tda_end(call, cls, s)
}

func list(call C.tda_call) {
	name, description, form := lend("add"), lend("adds two whole numbers"), lend(schema)
	defer free(name, description, form)
	C.tda_item(call, name, description, form)
	finish(call, C.TDA_C_OK, "")
}

func add(call C.tda_call, args string) {
	var numbers struct{ A, B *int64 }
	if json.Unmarshal([]byte(args), &numbers) != nil || numbers.A == nil || numbers.B == nil {
		finish(call, C.TDA_C_REQUEST, "add wants a and b, two whole numbers")
		return
	}
	sum := lend(strconv.FormatInt(*numbers.A+*numbers.B, 10))
	defer free(sum)
	C.tda_content(call, sum)
	finish(call, C.TDA_C_OK, "")
}

//export goStart
func goStart(call C.tda_call, op C.uint32_t, name, args C.tda_str) {
	switch {
	case op == C.TDA_AOP_LIST_TOOLS:
		list(call)
	case op == C.TDA_AOP_CALL_TOOL && text(name) == "add":
		add(call, text(args))
	default:
		finish(call, C.TDA_C_NOT_FOUND, "there is nothing of this name")
	}
}

func main() {}
