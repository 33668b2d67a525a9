/* realtime_protocol._native: what realtime_protocol._pure_schnorrq does, with the same checks and
 * errors. The module keeps no Python object of its own, so that it serves any number of interpreters
 * and threads, with and without the GIL. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>

#include "identity.h"
#include "k12.h"
#include "key_cache.h"
#include "schnorrq.h"

enum {
    DIGEST_BYTES = 32,
    RECORD_BYTES = KEY_BYTES + DIGEST_BYTES + SIGNATURE_BYTES,
    /* K12 of so many takes about 0.1 ms: for more, other threads get the GIL. */
    HASHED_WITH_GIL_BYTES_MAX = 65536,
};

static PyThreadState *release_gil_for(size_t bytes) {
    return bytes > HASHED_WITH_GIL_BYTES_MAX ? PyEval_SaveThread() : NULL;
}

static void take_gil_back(PyThreadState *released) {
    if (released != NULL) {
        PyEval_RestoreThread(released);
    }
}

static const uint8_t *bytes_of(PyObject *object) {
    return (const uint8_t *)PyBytes_AS_STRING(object);
}

static size_t size_of(PyObject *object) { return (size_t)PyBytes_GET_SIZE(object); }

/* The name of the object's type goes to the end of the format. */
static void raise_type_error(const char *format, PyObject *object) {
    PyObject *name = PyType_GetName(Py_TYPE(object));
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError, format, name);
        Py_DECREF(name);
    }
}

static bool require_bytes(PyObject *object, const char *refusal) {
    if (PyBytes_Check(object)) {
        return true;
    }
    raise_type_error(refusal, object);
    return false;
}

static bool require_count(const char *function, Py_ssize_t given, Py_ssize_t wanted) {
    if (given == wanted) {
        return true;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes %zd positional arguments but %zd %s given", function,
                 wanted, given, given == 1 ? "was" : "were");
    return false;
}

/* k12(data, length=32): sort the arguments into their places. */
static bool place_k12_arguments(PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                                PyObject *placed[2]) {
    static const char *const names[2] = {"data", "length"};
    if (count > 2) {
        PyErr_Format(PyExc_TypeError,
                     "k12() takes from 1 to 2 positional arguments but %zd were given", count);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        placed[i] = args[i];
    }
    Py_ssize_t keyword_count = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < keyword_count; i++) {
        PyObject *name = PyTuple_GET_ITEM(keywords, i);
        int place = 0;
        while (place < 2 && PyUnicode_CompareWithASCIIString(name, names[place]) != 0) {
            place++;
        }
        if (place == 2) {
            PyErr_Format(PyExc_TypeError, "k12() got an unexpected keyword argument '%U'", name);
            return false;
        }
        if (placed[place] != NULL) {
            PyErr_Format(PyExc_TypeError, "k12() got multiple values for argument '%U'", name);
            return false;
        }
        placed[place] = args[count + i];
    }
    if (placed[0] == NULL) {
        PyErr_SetString(PyExc_TypeError, "k12() missing 1 required positional argument: 'data'");
        return false;
    }
    return true;
}

/* -1 with an error set for what isn't a length. */
static Py_ssize_t digest_size_of(PyObject *length) {
    PyObject *number = PyNumber_Index(length);
    if (number == NULL) {
        return -1;
    }
    int overflow = 0;
    long long size = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow < 0 || (overflow == 0 && size < 0)) {
        PyErr_Format(PyExc_ValueError, "a digest can't have %S bytes", number);
        size = -1;
    } else if (overflow > 0 || size > PY_SSIZE_T_MAX) {
        PyErr_NoMemory();
        size = -1;
    }
    Py_DECREF(number);
    return (Py_ssize_t)size;
}

static PyObject *hash(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count,
                      PyObject *keywords) {
    PyObject *placed[2] = {NULL, NULL};
    if (!place_k12_arguments(args, count, keywords, placed) ||
        !require_bytes(placed[0], "data must be bytes, not %U")) {
        return NULL;
    }
    Py_ssize_t digest_size = placed[1] == NULL ? DIGEST_BYTES : digest_size_of(placed[1]);
    if (digest_size < 0) {
        return NULL;
    }
    PyObject *digest = PyBytes_FromStringAndSize(NULL, digest_size);
    if (digest == NULL) {
        return NULL;
    }
    const struct k12_part part = {bytes_of(placed[0]), size_of(placed[0])};
    uint8_t *target = (uint8_t *)PyBytes_AS_STRING(digest);
    PyThreadState *released = release_gil_for(part.size + (size_t)digest_size);
    k12(&part, 1, target, (size_t)digest_size);
    take_gil_back(released);
    return digest;
}

static PyObject *public_key(PyObject *Py_UNUSED(module), PyObject *private_key) {
    if (!require_bytes(private_key, "private_key must be bytes, not %U")) {
        return NULL;
    }
    if (size_of(private_key) != KEY_BYTES) {
        return PyErr_Format(PyExc_ValueError, "a private key has %d bytes", KEY_BYTES);
    }
    uint8_t key[KEY_BYTES];
    schnorrq_public_key(bytes_of(private_key), key);
    return PyBytes_FromStringAndSize((const char *)key, KEY_BYTES);
}

static PyObject *sign(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!require_count("sign", count, 3) ||
        !require_bytes(args[0], "subseed must be bytes, not %U") ||
        !require_bytes(args[1], "public_key must be bytes, not %U") ||
        !require_bytes(args[2], "message must be bytes, not %U")) {
        return NULL;
    }
    if (size_of(args[0]) != KEY_BYTES || size_of(args[1]) != KEY_BYTES) {
        return PyErr_Format(PyExc_ValueError, "subseed and public key have %d bytes each",
                            KEY_BYTES);
    }
    uint8_t signature[SIGNATURE_BYTES];
    PyThreadState *released = release_gil_for(size_of(args[2]));
    bool is_own_key = schnorrq_sign(bytes_of(args[0]), bytes_of(args[1]), bytes_of(args[2]),
                                    size_of(args[2]), signature);
    take_gil_back(released);
    if (!is_own_key) {
        PyErr_SetString(PyExc_ValueError, "the public key isn't the subseed's own");
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)signature, SIGNATURE_BYTES);
}

/* Key, message, signature. */
static bool require_parts(PyObject *const parts[3]) {
    return require_bytes(parts[0], "public_key must be bytes, not %U") &&
           require_bytes(parts[1], "message must be bytes, not %U") &&
           require_bytes(parts[2], "signature must be bytes, not %U");
}

/* Whether the lengths let the signature count. Needs require_parts. */
static bool has_lengths(PyObject *const parts[3]) {
    return size_of(parts[0]) == KEY_BYTES && size_of(parts[2]) == SIGNATURE_BYTES;
}

/* The parts, which it borrows. Needs has_lengths. */
static struct signed_message message_of(PyObject *const parts[3]) {
    return (struct signed_message){bytes_of(parts[0]), bytes_of(parts[1]), size_of(parts[1]),
                                   bytes_of(parts[2])};
}

static PyObject *verify(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!require_count("verify", count, 3) || !require_parts(args)) {
        return NULL;
    }
    if (!has_lengths(args)) {
        Py_RETURN_FALSE;
    }
    struct signed_message item = message_of(args);
    PyThreadState *released = release_gil_for(item.message_size);
    bool verdict = schnorrq_verify(&item);
    take_gil_back(released);
    return PyBool_FromLong(verdict);
}

static PyObject *const *parts_of(PyObject *items, Py_ssize_t i) {
    return &PyTuple_GET_ITEM(PyTuple_GET_ITEM(items, i), 0);
}

static bool require_items(PyObject *items) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++) {
        PyObject *item = PyTuple_GET_ITEM(items, i);
        if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 3) {
            PyErr_SetString(PyExc_TypeError,
                            "an item must be a tuple of public key, message and signature");
            return false;
        }
        if (!require_parts(parts_of(items, i))) {
            return false;
        }
    }
    return true;
}

/* Those with the right lengths go in one batch, their verdicts in the same order. */
static PyObject *verify_items(PyObject *items, struct signed_message *batch, uint8_t *verdicts) {
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    size_t batched = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (has_lengths(parts_of(items, i))) {
            batch[batched++] = message_of(parts_of(items, i));
        }
    }
    Py_BEGIN_ALLOW_THREADS
    schnorrq_verify_many(batch, batched, verdicts);
    Py_END_ALLOW_THREADS
    PyObject *results = PyList_New(count);
    for (Py_ssize_t i = 0; results != NULL && i < count; i++) {
        bool verdict = has_lengths(parts_of(items, i)) && *verdicts++ == 1;
        PyList_SET_ITEM(results, i, PyBool_FromLong(verdict));
    }
    return results;
}

static PyObject *verify_many(PyObject *Py_UNUSED(module), PyObject *sequence) {
    /* A tuple, and of tuples: nobody can take a part away while the GIL is released. */
    PyObject *items = PySequence_Tuple(sequence);
    if (items == NULL) {
        return NULL;
    }
    PyObject *results = NULL;
    if (require_items(items)) {
        size_t count = (size_t)PyTuple_GET_SIZE(items);
        struct signed_message *batch = PyMem_New(struct signed_message, count);
        uint8_t *verdicts = PyMem_New(uint8_t, count);
        results = batch == NULL || verdicts == NULL ? PyErr_NoMemory()
                                                    : verify_items(items, batch, verdicts);
        PyMem_Free(batch);
        PyMem_Free(verdicts);
    }
    Py_DECREF(items);
    return results;
}

static PyObject *verify_batch_of_records(const uint8_t *record, size_t count,
                                         struct signed_message *batch) {
    PyObject *verdicts = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)count);
    if (verdicts == NULL) {
        return NULL;
    }
    uint8_t *target = (uint8_t *)PyBytes_AS_STRING(verdicts);
    Py_BEGIN_ALLOW_THREADS
    for (size_t i = 0; i < count; i++, record += RECORD_BYTES) {
        const uint8_t *digest = record + KEY_BYTES;
        batch[i] = (struct signed_message){record, digest, DIGEST_BYTES, digest + DIGEST_BYTES};
    }
    schnorrq_verify_many(batch, count, target);
    Py_END_ALLOW_THREADS
    return verdicts;
}

static PyObject *verify_records(PyObject *Py_UNUSED(module), PyObject *records) {
    if (!PyBytes_Check(records) && !PyByteArray_Check(records) && !PyMemoryView_Check(records)) {
        raise_type_error("records must be bytes, not %U", records);
        return NULL;
    }
    /* A copy of all but bytes: what another thread writes must not change between two looks. */
    PyObject *data = PyBytes_FromObject(records);
    if (data == NULL) {
        return NULL;
    }
    PyObject *verdicts = NULL;
    size_t count = size_of(data) / RECORD_BYTES;
    if (size_of(data) % RECORD_BYTES != 0) {
        PyErr_Format(PyExc_ValueError, "%zu bytes are no whole number of %d-byte records",
                     size_of(data), RECORD_BYTES);
    } else {
        struct signed_message *batch = PyMem_New(struct signed_message, count);
        verdicts = batch == NULL ? PyErr_NoMemory()
                                 : verify_batch_of_records(bytes_of(data), count, batch);
        PyMem_Free(batch);
    }
    Py_DECREF(data);
    return verdicts;
}

static PyObject *refusal_of_key(PyObject *Py_UNUSED(module), PyObject *key) {
    if (!require_bytes(key, "public_key must be bytes, not %U")) {
        return NULL;
    }
    if (size_of(key) != KEY_BYTES) {
        return PyUnicode_FromFormat("it has %zu bytes, not %d", size_of(key), KEY_BYTES);
    }
    const char *refusal = schnorrq_refusal_of_key(bytes_of(key));
    if (refusal == NULL) {
        Py_RETURN_NONE;
    }
    return PyUnicode_FromString(refusal);
}

static PyObject *encode_identity(PyObject *Py_UNUSED(module), PyObject *key) {
    if (!require_bytes(key, "public_key must be bytes, not %U")) {
        return NULL;
    }
    if (size_of(key) != KEY_BYTES) {
        return PyErr_Format(PyExc_ValueError, "a public key or digest has %d bytes, not %zu",
                            KEY_BYTES, size_of(key));
    }
    char text[IDENTITY_LETTERS];
    identity_encode(bytes_of(key), text);
    return PyUnicode_FromStringAndSize(text, IDENTITY_LETTERS);
}

static PyObject *parse_identity(PyObject *Py_UNUSED(module), PyObject *text) {
    if (!PyUnicode_Check(text)) {
        raise_type_error("an identity is a str, not %U", text);
        return NULL;
    }
    uint8_t key[KEY_BYTES];
    if (!PyUnicode_IS_ASCII(text) ||
        !identity_parse((const char *)PyUnicode_1BYTE_DATA(text),
                        (size_t)PyUnicode_GET_LENGTH(text), key)) {
        Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize((const char *)key, KEY_BYTES);
}

static PyObject *use_path(PyObject *Py_UNUSED(module), PyObject *name) {
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    if (text == NULL || !schnorrq_use_path(text)) {
        PyErr_Clear();
        return PyErr_Format(PyExc_ValueError, "no path %R here; see PATHS", name);
    }
    Py_RETURN_NONE;
}

static PyObject *use_key_cache(PyObject *Py_UNUSED(module), PyObject *on) {
    int is_on = PyObject_IsTrue(on);
    if (is_on < 0) {
        return NULL;
    }
    key_cache_use(is_on == 1);
    Py_RETURN_NONE;
}

#define FUNCTION(pointer) ((PyCFunction)(void (*)(void))(pointer))

static PyMethodDef METHODS[] = {
    {"k12", FUNCTION(hash), METH_FASTCALL | METH_KEYWORDS,
     "k12($module, data, length=32)\n--\n\nReturn length bytes of KangarooTwelve."},
    {"public_key", public_key, METH_O,
     "public_key($module, private_key, /)\n--\n\nReturn the public key of a private key."},
    {"sign", FUNCTION(sign), METH_FASTCALL,
     "sign($module, subseed, public_key, message, /)\n--\n\nReturn the 64 bytes R || S."},
    {"verify", FUNCTION(verify), METH_FASTCALL,
     "verify($module, public_key, message, signature, /)\n--\n\n"
     "Tell whether the network would take the signature."},
    {"verify_many", verify_many, METH_O,
     "verify_many($module, items, /)\n--\n\nVerify each (public key, message, signature)."},
    {"verify_records", verify_records, METH_O,
     "verify_records($module, records, /)\n--\n\n"
     "Return one byte, 1 or 0, for each 128 bytes of key, digest and signature."},
    {"refusal_of_key", refusal_of_key, METH_O,
     "refusal_of_key($module, public_key, /)\n--\n\n"
     "Say why no signature counts for this key, or None when it is sound."},
    {"encode_identity", encode_identity, METH_O,
     "encode_identity($module, public_key, /)\n--\n\nReturn the 60 letters of a public key."},
    {"parse_identity", parse_identity, METH_O,
     "parse_identity($module, text, /)\n--\n\n"
     "Return the public key that the text names, or None when it names none."},
    {"use_path", use_path, METH_O,
     "use_path($module, name, /)\n--\n\n"
     "Verify batches by this one of PATHS, in the whole process: for tests and benchmarks."},
    {"use_key_cache", use_key_cache, METH_O,
     "use_key_cache($module, on, /)\n--\n\n"
     "Keep prepared keys, or forget them all and keep none, in the whole process."},
    {NULL, NULL, 0, NULL},
};

static pthread_once_t begun = PTHREAD_ONCE_INIT;

/* Takes over the reference; NULL is an error that has been set. */
static bool add_constant(PyObject *module, const char *name, PyObject *value) {
    bool is_added = PyModule_AddObjectRef(module, name, value) == 0;
    Py_XDECREF(value);
    return is_added;
}

static PyObject *paths(void) {
    PyObject *names = PyList_New(0);
    for (size_t i = 0; names != NULL && schnorrq_path_name(i) != NULL; i++) {
        PyObject *name = PyUnicode_FromString(schnorrq_path_name(i));
        if (name == NULL || PyList_Append(names, name) < 0) {
            Py_CLEAR(names);
        }
        Py_XDECREF(name);
    }
    PyObject *tuple = names == NULL ? NULL : PyList_AsTuple(names);
    Py_XDECREF(names);
    return tuple;
}

static int add_constants(PyObject *module) {
    bool are_added =
        add_constant(module, "IMPLEMENTATION",
                     PyUnicode_FromFormat("native (%s)", schnorrq_path())) &&
        add_constant(module, "PATHS", paths()) &&
        add_constant(module, "CACHED_KEYS_MAX", PyLong_FromLong(CACHED_KEYS_MAX)) &&
        add_constant(module, "KEY_CACHE_BYTES_MAX", PyLong_FromSize_t(KEY_CACHE_BYTES_MAX));
    return are_added ? 0 : -1;
}

static int execute(PyObject *module) {
    if (pthread_once(&begun, schnorrq_begin) != 0) {
        PyErr_SetString(PyExc_ImportError, "the curve's tables can't be made");
        return -1;
    }
    return add_constants(module);
}

static PyModuleDef_Slot SLOTS[] = {
    {Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef DEFINITION = {
    PyModuleDef_HEAD_INIT,
    .m_name = "realtime_protocol._native",
    .m_doc = "Qubic's hash and signatures in C; realtime_protocol.schnorrq is the way to them.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&DEFINITION); }
