//! Which functions of the interpreter are plumbing: they do nothing but pass a call on, from one
//! Python frame to the next, and an output hides them unless asked.
//!
//! What a user would call *his* C frame stays: functions of modules (`builtin_sorted`, `list_sort`,
//! `functools_reduce`, `_sre_SRE_Pattern_sub`, `scan_once_unicode`, ctypes' callbacks), operations on
//! objects (`PyObject_GetAttr`, `PyNumber_Add`), imports, memory, garbage collection, and above all
//! waiting for the GIL (`take_gil`).
//!
//! The list was made from gdb's stacks of 110 ways in which C calls Python (sort keys, special
//! methods, generators, coroutines, callbacks of re, json, ctypes, sqlite3, expat, trace functions,
//! …) on the shared builds of 3.8, 3.10, 3.11, 3.12 and 3.13: of all functions between two
//! evaluation loops, those that only pass on. Siblings of these were added from the symbol tables
//! of those builds, of 3.9, and of Debian's 3.13, 3.14 and 3.15. `_TAIL_CALL_` is from CPython's
//! sources (Python/ceval_macros.h of 3.14); no build here has it.

/// Whether a function of the file that holds the interpreter is plumbing. Suffixes that compilers
/// and symbol readers add (`.cold`, `.constprop.0`, `@plt`) don't matter.
pub fn is_internal(name: &str) -> bool {
    let name = name.split(['.', '@']).next().unwrap_or(name);
    if KEPT.contains(&name) {
        return false;
    }
    EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the evaluation loop of 3.8 to 3.10 calls a function before it has pushed its frame or
/// after it has popped it (Python/ceval.c: the loop's first lines and `exit_eval_frame`).
pub fn is_loop_callee(name: &str) -> bool {
    let name = name.split(['.', '@']).next().unwrap_or(name);
    LOOP_CALLEES.contains(&name)
}

const LOOP_CALLEES: &[&str] = &[
    "_Py_CheckFunctionResult",
    "_Py_EnterRecursiveCall",
    "_Py_LeaveRecursiveCall",
    "_Py_CheckRecursiveCall",
    "PyErr_Occurred",
    "_PyErr_Occurred",
];

/// Caught by a prefix, but doing something of their own.
const KEPT: &[&str] = &["PyObject_Calloc", "_PyObject_Calloc"];

const PREFIXES: &[&str] = &[
    // The evaluation loop and what enters it; the handlers of the tail-calling one.
    "_PyEval_Eval",
    "PyEval_Eval",
    "PyEval_Call",
    "_PyEvalFramePushAndInit",
    "_TAIL_CALL_",
    // The call protocol.
    "PyObject_Call",
    "_PyObject_Call",
    "PyObject_Vectorcall",
    "_PyObject_Vectorcall",
    "_PyObject_FastCall",
    "_PyObject_MaybeCallSpecial",
    "_PyFunction_FastCall",
    "_PyCFunction_FastCall",
    "_PyMethodDef_RawFastCall",
    "_PyCallMethodDescriptor",
    "_Py_BuiltinCallFast",
    "_Py_CallBuiltinClass",
    "_Py_VectorCall",
    "cfunction_call",
    "cfunction_vectorcall",
    "method_vectorcall",
    "call_unbound",
    // From a slot of a type to the special method that fills it, and back.
    "_Py_slot_tp_",
    "slot_am_",
    "slot_bf_",
    "slot_mp_",
    "slot_nb_",
    "slot_sq_",
    "slot_tp_",
    "wrap_descr_",
    "wrap_sq_",
    // Resuming generators and coroutines.
    "async_gen_asend_",
    "async_gen_athrow_",
    "coro_wrapper_",
    // Calling trace and profile functions.
    "_Py_call_instrumentation",
    "call_trace",
    "sys_profile_",
    "sys_trace_",
    // From main to the first module.
    "PyRun_",
    "_PyRun_",
    "pymain_",
    "pyrun_",
];

const EXACT: &[&str] = &[
    // The evaluation loop and what enters it.
    "_PyEval_FrameClearAndPop",
    "_PyEval_MakeFrameVector",
    "_PyEval_Vector",
    "_PyFunction_Vectorcall",
    "_PyJIT_Entry",
    "_Py_HandlePending",
    "eval_frame_handle_pending",
    "function_code_fastcall",
    // The call protocol.
    "PyCFunction_Call",
    "PyVectorcall_Call",
    "_PyObject_MakeTpCall",
    "_PyVectorcall_Call",
    "call_attribute",
    "call_function",
    "call_maybe",
    "call_method",
    "classmethoddescr_call",
    "do_call_core",
    "function_call",
    "instancemethod_call",
    "method_call",
    "object_vacall",
    "sm_call",
    "type_call",
    "type_vectorcall",
    "vectorcall_maybe",
    "vectorcall_method",
    "vectorcall_unbound",
    // From a special method to the slot of a C type.
    "wrap_binaryfunc",
    "wrap_binaryfunc_l",
    "wrap_binaryfunc_r",
    "wrap_call",
    "wrap_del",
    "wrap_delattr",
    "wrap_delitem",
    "wrap_hashfunc",
    "wrap_indexargfunc",
    "wrap_init",
    "wrap_inquirypred",
    "wrap_lenfunc",
    "wrap_next",
    "wrap_objobjargproc",
    "wrap_objobjproc",
    "wrap_richcmpfunc",
    "wrap_setattr",
    "wrap_ternaryfunc",
    "wrap_ternaryfunc_r",
    "wrap_unaryfunc",
    "wrapper_call",
    "wrapperdescr_call",
    "wrapperdescr_raw_call",
    // Resuming generators and coroutines.
    "PyGen_am_send",
    "PyIter_Send",
    "_PyGen_Send",
    "_PyIter_Send",
    "_gen_throw",
    "gen_close",
    "gen_close_iter",
    "gen_iternext",
    "gen_send",
    "gen_send_ex",
    "gen_send_ex2",
    "gen_throw",
    // Calling trace and profile functions.
    "call_exc_trace",
    "call_instrumentation_vector",
    "call_one_instrument",
    "call_profile_func",
    "call_trampoline",
    "capi_call_instrumentation",
    "profile_trampoline",
    "trace_call_function",
    "trace_function_entry",
    "trace_trampoline",
    // From main, or a thread's start, to the first function.
    "Py_BytesMain",
    "Py_Main",
    "Py_RunMain",
    "pythread_wrapper",
    "run_eval_code_obj",
    "run_mod",
    "t_bootstrap",
    "thread_run",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plumbing_is_internal() {
        let plumbing = "_PyEval_EvalFrameDefault _PyEval_EvalFrameDefault.cold _PyEval_Vector \
            _PyFunction_Vectorcall PyEval_EvalCode _PyObject_VectorcallTstate.lto_priv.3 \
            method_vectorcall method_vectorcall_NOARGS cfunction_vectorcall_FASTCALL_KEYWORDS \
            PyObject_CallOneArg PyObject_CallFunctionObjArgs object_vacall _PyObject_MakeTpCall \
            type_call slot_tp_init slot_nb_add _Py_slot_tp_getattr_hook gen_send_ex2 gen_iternext \
            PyIter_Send _TAIL_CALL_BINARY_OP run_mod pymain_run_python Py_RunMain Py_BytesMain \
            t_bootstrap thread_run do_call_core.constprop.0 PyObject_Call@plt";
        for name in plumbing.split_whitespace() {
            assert!(is_internal(name), "{name}");
        }
    }

    #[test]
    fn c_functions_of_a_user_stay() {
        let kept = "list_sort list_sort_impl builtin_sorted builtin_exec_impl functools_reduce \
            _sre_SRE_Pattern_sub pattern_subx scan_once_unicode encoder_listencode_obj \
            _CallPythonObject closure_fcn _ctypes_callproc time_sleep pysleep map_next list_extend \
            take_gil drop_gil PyEval_RestoreThread PyEval_AcquireThread gc_collect_main \
            _PyObject_GC_New PyObject_Calloc _PyObject_Calloc PyObject_Malloc PyObject_GetAttr \
            PyNumber_Add PyDict_SetItem task_step_impl context_run partial_vectorcall list_vectorcall \
            bounded_lru_cache_wrapper wrap_strftime import_find_and_load PyImport_ImportModule \
            builtin___build_class__ property_descr_get generate slot call main";
        for name in kept.split_whitespace() {
            assert!(!is_internal(name), "{name}");
        }
        assert!(!is_internal(""));
    }
}
