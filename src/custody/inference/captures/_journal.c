/* Frames of a journal, see journal.py: a request is copied into mapped memory as it comes.
 *
 * In Python that costs several times what it does in a loop of its own: a model and a network ran in between, and nothing of it is
 * in the processor's caches any more. Only the usual request is taken; all others, and all where this file could not be compiled,
 * are written to the spool as they come. It keeps to Python's limited API and NumPy's: one build serves every Python from
 * 3.11 on.
 */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <float.h>
#include <numpy/arrayobject.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>
#include <time.h>

#if PY_BIG_ENDIAN || !defined(__linux__)
#error "Numbers are copied as they are, little-endian; and Linux has the clock of time.perf_counter_ns()."
#endif

enum { UNIQUE, SCORE, DECISION, EVENT, KEYS, OF, PIECES }; /* of a frame's text, each ended by a zero; who said nothing has three */

enum { TEXTS_AS_JSON = 's' }; /* an input's type, beside the codes of struct */

#define BASIS 0xcbf29ce484222325 /* of FNV-1a */

enum { LINE_VERSION = 8, KEPT_VERSION = 9, FORMAT = 3, END_AT = 32, GENERATION_AT = 40, FIRST = 64, MOST_COLUMNS = 64, MOST_AXES = 8 };

enum { ENOUGH = 128 * 1024, DAY_MS = 24 * 60 * 60 * 1000 }; /* bytes of a line: a longer one would not be read in one piece */

#define NO_ROOM "there is no room for its lines"

enum { SOME = 1024 * 1024 }; /* bytes that are sampled at once, in less than a millisecond */

typedef struct {
    uint32_t size, sum;
    int64_t at_ms, now;
} Batch;

typedef struct {
    uint32_t size, what, text, columns, rows, sum; /* size: of all of it; what, text: of its first two parts; sum: see `sum_of` */
    int64_t since;
} Frame;

typedef struct {
    PyObject_HEAD
    Py_buffer view;
    Py_ssize_t committed, end; /* of what is safe, and of what was added */
    Py_ssize_t used;           /* beyond it nothing was written since `clear` */
    uint64_t generation;       /* of what was written since `clear` */
} Frames;

/* Where the next byte goes, and where the room ends; at is NULL as soon as something did not fit, or cannot be taken. */
typedef struct {
    char *at, *end;
} Pen;

static void
put(Pen *pen, const void *bytes, Py_ssize_t size)
{
    if (pen->at == NULL || pen->end - pen->at < size) {
        pen->at = NULL;
        return;
    }
    memcpy(pen->at, bytes, (size_t)size);
    pen->at += size;
}

static void
put_literal(Pen *pen, const char *text)
{
    put(pen, text, (Py_ssize_t)strlen(text));
}

/* Put a text as it stands between quotation marks in JSON. Source: RFC 8259, section 7. */
static void
put_text(Pen *pen, PyObject *text)
{
    Py_ssize_t size = 0;
    const char *from = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;
    if (from == NULL) {
        PyErr_Clear(); /* half of a surrogate pair */
        pen->at = NULL;
        return;
    }
    const char *end = from + size;
    for (const char *at = from; at < end; at++) {
        unsigned char letter = (unsigned char)*at;
        if (letter >= 0x20 && letter != '"' && letter != '\\')
            continue;
        static const char short_ones[] = "btn\0fr"; /* from 8 on */
        char escape[6] = {'\\', (char)letter, '0', '0', "01"[letter >> 4 & 1], "0123456789abcdef"[letter & 15]};
        int length = 2;
        if (letter >= 8 && letter <= 13 && letter != 11)
            escape[1] = short_ones[letter - 8];
        else if (letter < 0x20) {
            escape[1] = 'u';
            length = 6;
        }
        put(pen, from, at - from);
        put(pen, escape, length);
        from = at + 1;
    }
    put(pen, from, end - from);
}

static void
put_bytes(Pen *pen, PyObject *object)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(object, &bytes, &size) < 0) {
        PyErr_Clear();
        pen->at = NULL;
        return;
    }
    put(pen, bytes, size);
}

/* Write a number before `end`, and return where it begins; it has at most 20 letters. */
static char *
digits_of(long long number, char *end)
{
    unsigned long long rest = number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
    do
        *--end = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0)
        *--end = '-';
    return end;
}

static void
put_digits(Pen *pen, long long number)
{
    char letters[20], *end = letters + sizeof letters, *at = digits_of(number, end);
    put(pen, at, end - at);
}

/* Put a whole number as JSON, or null for None. */
static void
put_number(Pen *pen, PyObject *number)
{
    if (number == Py_None) {
        put(pen, "null", 4);
        return;
    }
    long long value = PyLong_AsLongLong(number);
    if (value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        pen->at = NULL;
        return;
    }
    put_digits(pen, value);
}

/* Put a tuple of texts as JSON, or null for None. */
static void
put_texts(Pen *pen, PyObject *texts)
{
    if (texts == Py_None) {
        put(pen, "null", 4);
        return;
    }
    Py_ssize_t count = PyTuple_Check(texts) ? PyTuple_Size(texts) : 0;
    if (count == 0)
        pen->at = NULL;
    for (Py_ssize_t i = 0; i < count && pen->at != NULL; i++) {
        put(pen, i ? ",\"" : "[\"", 2);
        put_text(pen, PyTuple_GetItem(texts, i));
        put(pen, "\"", 1);
    }
    put(pen, "]", 1);
}

/* Return the code of struct for an input that can be taken, or 0: rows of floats, or of one whole number, truth value or text each. */
static char
code(PyObject *input)
{
    if (!PyArray_Check(input))
        return 0;
    PyArrayObject *array = (PyArrayObject *)input;
    if (PyArray_NDIM(array) < 1 || PyArray_NDIM(array) > MOST_AXES || PyArray_SIZE(array) == 0 || !PyArray_ISCARRAY_RO(array))
        return 0;
    switch (PyArray_TYPE(array)) {
    case NPY_HALF:
        return 'e';
    case NPY_FLOAT:
        return 'f';
    case NPY_DOUBLE:
        return 'd';
    }
    if (PyArray_NDIM(array) > 2 || PyArray_SIZE(array) != PyArray_DIM(array, 0))
        return 0;
    switch (PyArray_TYPE(array)) {
    case NPY_BOOL:
        return '?';
    case NPY_INT8:
        return 'b';
    case NPY_UINT8:
        return 'B';
    case NPY_INT16:
        return 'h';
    case NPY_UINT16:
        return 'H';
    case NPY_INT32:
        return 'i';
    case NPY_UINT32:
        return 'I';
    case NPY_INT64:
        return 'q';
    case NPY_UINT64:
        return 'Q';
    case NPY_OBJECT:
        return TEXTS_AS_JSON;
    }
    return 0;
}

/* Put an input's values: their bytes; texts as JSON, each with a comma behind it. */
static void
put_values(Pen *pen, PyArrayObject *array)
{
    if (PyArray_TYPE(array) != NPY_OBJECT) {
        put(pen, PyArray_DATA(array), PyArray_NBYTES(array));
        return;
    }
    PyObject **texts = PyArray_DATA(array);
    for (npy_intp i = 0; i < PyArray_SIZE(array) && pen->at != NULL; i++) {
        put(pen, "\"", 1);
        put_text(pen, texts[i] ? texts[i] : Py_None);
        put(pen, "\",", 2);
    }
}

/* Mix words into a sum by FNV-1a, in four lanes: one product takes as long as four that do not wait for each other.
 * Source: Fowler, Noll, Vo, The FNV non-cryptographic hash algorithm. */
static uint64_t
mixed(uint64_t sum, const void *words, size_t size)
{
    const uint64_t prime = 0x100000001b3;
    const char *at = words, *end = at + size / 8 * 8;
    uint64_t a = sum, b = BASIS, c = BASIS, d = BASIS, some[4];
    for (; end - at >= (Py_ssize_t)sizeof some; at += sizeof some) { /* in registers, which an array of lanes would not be */
        memcpy(some, at, sizeof some);
        a = (a ^ some[0]) * prime;
        b = (b ^ some[1]) * prime;
        c = (c ^ some[2]) * prime;
        d = (d ^ some[3]) * prime;
    }
    if (at < end)
        memcpy(some, at, (size_t)(end - at));
    a = at < end ? (a ^ some[0]) * prime : a;
    b = end - at > 8 ? (b ^ some[1]) * prime : b;
    c = end - at > 16 ? (c ^ some[2]) * prime : c;
    return (((((a ^ b) * prime) ^ c) * prime) ^ d) * prime;
}

/* Return a checksum of a batch's or a frame's head, whose own sum is 0, and of what follows: `mixed`, folded. After a crash of the
 * machine pages may be of different times, and so of different generations. */
static uint32_t
sum_of(uint64_t generation, const void *head, size_t head_size, const char *rest, size_t size)
{
    uint64_t sum = mixed(mixed(BASIS ^ generation, head, head_size), rest, size);
    return (uint32_t)(sum ^ sum >> 32);
}

static PyObject *
frames_add(Frames *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 9) {
        PyErr_SetString(
            PyExc_TypeError,
            "add(place: str, head: bytes, unique: str, since: int, inputs: dict, written: tuple[bytes, bytes],"
            " event_ms: int | None, keys: tuple[str, ...] | None, of: str | None)");
        return NULL;
    }
    if (!PyDict_Check(args[4]) || !PyTuple_Check(args[5]) || PyTuple_Size(args[5]) != 2)
        Py_RETURN_FALSE;
    long long since = PyLong_AsLongLong(args[3]);
    if (since == -1 && PyErr_Occurred())
        return NULL;
    Py_ssize_t columns = PyDict_Size(args[4]), table = (4 * columns + 7) / 8 * 8;
    char *start = (char *)self->view.buf + self->end, *end = (char *)self->view.buf + self->view.len;
    if (columns == 0 || columns > MOST_COLUMNS || end - start < (Py_ssize_t)sizeof(Frame) + table)
        Py_RETURN_FALSE;

    Frame frame = {.columns = (uint32_t)columns, .since = since};
    PyArrayObject *arrays[MOST_COLUMNS];
    uint32_t sizes[MOST_COLUMNS + 1];
    Py_ssize_t held = 0, next = 0, used = self->used;
    PyObject *name, *input;
    Pen pen = {start + sizeof frame + table, end};
    char *from = pen.at;
    put_text(&pen, args[0]);
    put(&pen, "", 1);
    put_bytes(&pen, args[1]);
    while (pen.at != NULL && held < columns && PyDict_Next(args[4], &next, &name, &input)) {
        char type = code(input);
        if (!type)
            Py_RETURN_FALSE;
        put(&pen, "\0\"", 2);
        put_text(&pen, name);
        put(&pen, "\":", 2);
        put(&pen, &type, 1);
        arrays[held++] = (PyArrayObject *)input;
    }
    put(&pen, "", 1);
    for (Py_ssize_t i = 0; i < held; i++) { /* frames with rows of another shape are not of the same line */
        char axes = (char)PyArray_NDIM(arrays[i]);
        put(&pen, &axes, 1);
        put(&pen, PyArray_DIMS(arrays[i]) + 1, (axes - 1) * (Py_ssize_t)sizeof(npy_intp));
    }
    int said = args[6] != Py_None || args[7] != Py_None || args[8] != Py_None;
    put(&pen, said ? "+" : "", 1); /* nor are those who said more than others */
    if (pen.at == NULL)
        Py_RETURN_FALSE;
    frame.what = (uint32_t)(pen.at - from);
    from = pen.at;
    put_text(&pen, args[2]);
    put(&pen, "", 1);
    for (Py_ssize_t i = 0; i < 2; i++) {
        put_bytes(&pen, PyTuple_GetItem(args[5], i));
        put(&pen, "", 1);
    }
    if (said) {
        put_number(&pen, args[6]);
        put(&pen, "", 1);
        put_texts(&pen, args[7]);
        put(&pen, "", 1);
        if (args[8] == Py_None)
            put(&pen, "null", 4);
        else {
            put(&pen, "\"", 1);
            put_text(&pen, args[8]);
            put(&pen, "\"", 1);
        }
        put(&pen, "", 1);
    }
    self->used = self->view.len; /* until it is known how much */
    if (pen.at == NULL)
        Py_RETURN_FALSE;
    frame.text = (uint32_t)(pen.at - from);
    for (Py_ssize_t i = 0; i < held && pen.at != NULL; i++) {
        from = pen.at;
        put_values(&pen, arrays[i]);
        sizes[i] = (uint32_t)(pen.at - from);
    }
    if (pen.at != NULL)
        put(&pen, "\0\0\0\0\0\0\0", (start - pen.at) & 7);
    if (pen.at == NULL || held != columns)
        Py_RETURN_FALSE;
    if (columns & 1)
        sizes[columns] = 0;
    memcpy(start + sizeof frame, sizes, (size_t)table);
    frame.rows = (uint32_t)PyArray_DIM(arrays[0], 0);
    frame.size = (uint32_t)(pen.at - start);
    frame.sum = sum_of(self->generation, &frame, sizeof frame, start + sizeof frame, frame.size - sizeof frame);
    memcpy(start, &frame, sizeof frame);
    self->end += frame.size;
    self->used = used > self->end ? used : self->end;
    Py_RETURN_TRUE;
}

/* Say where what is safe ends, after all that is before it was written, and before anything else is. */
static void
set_end(Frames *self, int64_t end)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    self->committed = (Py_ssize_t)end;
    self->end = self->committed + (Py_ssize_t)sizeof(Batch);
    memcpy((char *)self->view.buf + END_AT, &end, sizeof end);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void
begin_anew(Frames *self)
{
    set_end(self, FIRST);
    self->generation++;
    memcpy((char *)self->view.buf + GENERATION_AT, &self->generation, sizeof self->generation);
    if (self->used > FIRST)
        memset((char *)self->view.buf + FIRST, 0, (size_t)(self->used - FIRST)); /* what people sent does not stay here */
    self->used = FIRST;
}

static PyObject *
frames_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(named))
{
    PyObject *buffer;
    Frames *self = PyArg_ParseTuple(args, "O", &buffer) ? (Frames *)PyType_GenericAlloc(type, 0) : NULL;
    if (self == NULL)
        return NULL;
    if (PyObject_GetBuffer(buffer, &self->view, PyBUF_WRITABLE) == 0) {
        if (self->view.len > FIRST && self->view.len <= UINT32_MAX) {
            begin_anew(self);
            return (PyObject *)self;
        }
        PyErr_SetString(PyExc_ValueError, "a journal has more than 64 bytes, and at most 4 GiB");
    }
    Py_DECREF(self);
    return NULL;
}

static PyObject *
frames_commit(Frames *self, PyObject *Py_UNUSED(nothing))
{
    Batch batch = {.size = (uint32_t)(self->end - self->committed)};
    if (batch.size > sizeof batch) {
        struct timespec wall, clock;
        clock_gettime(CLOCK_REALTIME, &wall);
        clock_gettime(CLOCK_MONOTONIC, &clock);
        batch.at_ms = wall.tv_sec * 1000LL + wall.tv_nsec / 1000000;
        batch.now = clock.tv_sec * 1000000000LL + clock.tv_nsec;
        batch.sum = sum_of(self->generation, &batch, sizeof batch, NULL, 0);
        memcpy((char *)self->view.buf + self->committed, &batch, sizeof batch);
        set_end(self, self->end);
    }
    return PyLong_FromSsize_t(self->committed);
}

static PyObject *
frames_clear(Frames *self, PyObject *Py_UNUSED(nothing))
{
    begin_anew(self);
    Py_RETURN_NONE;
}

static void
frames_dealloc(Frames *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    if (self->view.buf != NULL)
        PyBuffer_Release(&self->view);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* A frame that is read: where its parts are, and the pieces of its text, behind the last of them its end; data: of its inputs. */
typedef struct {
    Frame frame;
    const char *sizes, *what, *pieces[PIECES + 1], *data, *end;
    int said; /* how many pieces */
} Read;

static Py_ssize_t
size_of_piece(const Read *read, int piece)
{
    return read->pieces[piece + 1] - read->pieces[piece] - 1;
}

static uint32_t
size_of(const Read *read, uint32_t column)
{
    uint32_t size;
    memcpy(&size, read->sizes + 4 * column, sizeof size);
    return size;
}

/* Tell whether a frame that was read is as it was written. */
static int
is_whole(const Read *read, uint64_t generation)
{
    Frame frame = read->frame;
    frame.sum = 0;
    return sum_of(generation, &frame, sizeof frame, read->sizes, frame.size - sizeof frame) == read->frame.sum;
}

/* Read the frame at `at`. Returns whether there is one. */
static int
read_frame(const char *at, const char *end, Read *read)
{
    if (end - at < (Py_ssize_t)sizeof read->frame)
        return 0;
    memcpy(&read->frame, at, sizeof read->frame);
    Py_ssize_t size = read->frame.size, columns = read->frame.columns, table = (4 * columns + 7) / 8 * 8;
    if (size > end - at || size < (Py_ssize_t)sizeof read->frame || size % 8 || columns == 0 || columns > MOST_COLUMNS)
        return 0;
    Py_ssize_t rest = size - (Py_ssize_t)sizeof read->frame - table - read->frame.what - read->frame.text;
    if (rest < 0 || read->frame.text == 0)
        return 0;
    read->sizes = at + sizeof read->frame;
    read->what = read->sizes + table;
    read->pieces[0] = read->what + read->frame.what;
    read->data = read->pieces[0] + read->frame.text;
    read->end = at + size;
    read->said = 0;
    while (read->said < PIECES && read->pieces[read->said] < read->data) {
        const char *at_piece = read->pieces[read->said], *zero = memchr(at_piece, 0, (size_t)(read->data - at_piece));
        if (zero == NULL)
            return 0;
        read->pieces[++read->said] = zero + 1;
    }
    if (read->pieces[read->said] != read->data || (read->said != EVENT && read->said != PIECES))
        return 0;
    for (uint32_t i = 0; i < read->frame.columns; i++)
        rest -= size_of(read, i);
    return rest >= 0;
}

/* Tell whether two frames are of the same line. */
static int
is_like(const Read *first, const Read *read)
{
    return read->frame.what == first->frame.what && read->frame.columns == first->frame.columns &&
           memcmp(read->what, first->what, read->frame.what) == 0;
}

/* Bytes that grow; failed once there was no memory. */
typedef struct {
    char *bytes;
    Py_ssize_t size, room;
    int failed;
} Text;

static void
append(Text *text, const void *bytes, Py_ssize_t size)
{
    if (size >= text->room - text->size && !text->failed) {
        Py_ssize_t room = 2 * text->room + size + 256;
        char *grown = PyMem_Realloc(text->bytes, (size_t)room);
        text->failed = grown == NULL;
        if (grown != NULL) {
            text->bytes = grown;
            text->room = room;
        }
    }
    if (!text->failed) {
        memcpy(text->bytes + text->size, bytes, (size_t)size);
        text->size += size;
    }
}

enum { LATENCIES = PIECES, LATER, PLACES, TEXTS }; /* before them the pieces */

/* A frame of those that are read: when it was recorded, which the next one of its line is, and of a line's first one its last, and
 * the bytes of its columns. */
typedef struct {
    Read read;
    int64_t at_ms, now;
    Py_ssize_t next, last, size; /* next: -1 without one; last: -1 of all but the first of a line */
} Held;

/* A line that is made of frames: its lists, and bytes for its columns with where the next go. */
typedef struct {
    Text texts[TEXTS];
    PyObject *columns;
    char *at[MOST_COLUMNS];
    long long rows;
} Line;

/* Return a tuple of bytes for columns of so many, and where each begins; NULL with an error. */
static PyObject *
room_for(uint32_t count, const Py_ssize_t *sizes, char **at)
{
    PyObject *columns = PyTuple_New(count);
    for (uint32_t i = 0; columns != NULL && i < count; i++) {
        PyObject *column = PyBytes_FromStringAndSize(NULL, sizes[i]);
        at[i] = column == NULL ? NULL : PyBytes_AsString(column);
        if (column == NULL || PyTuple_SetItem(columns, i, column) < 0)
            Py_CLEAR(columns);
    }
    return columns;
}

static void
begin_lists(Line *line)
{
    for (int i = 0; i < TEXTS; i++)
        line->texts[i].size = 0;
    line->rows = 0;
}

/* Return -1 with an error if there was no memory for a line's lists. */
static int
end_lists(const Line *line)
{
    for (int i = 0; i < TEXTS; i++)
        if (line->texts[i].failed) {
            PyErr_NoMemory();
            return -1;
        }
    return 0;
}

static void
append_number(Text *text, long long number)
{
    char letters[20], *last = letters + sizeof letters, *first = digits_of(number, last);
    append(text, first, last - first);
}

/* Add to a line what a frame says of its request as a whole. at_ms: when the line's first one was recorded. */
static void
join_request(Line *line, const Held *held, int64_t at_ms)
{
    const Read *read = &held->read;
    Text *texts = line->texts;
    int is_first = line->rows == 0;
    for (int i = SCORE; i < TEXTS; i++)
        append(&texts[i], ",", !is_first);
    append_number(&texts[LATENCIES], (long long)((uint64_t)held->now - (uint64_t)read->frame.since) / 1000);
    append_number(&texts[LATER], held->at_ms - at_ms);
    append(&texts[UNIQUE], ",\"" + is_first, 2 - is_first);
    append(&texts[UNIQUE], read->pieces[UNIQUE], size_of_piece(read, UNIQUE));
    append(&texts[UNIQUE], "\"", 1);
    for (int i = EVENT; i < read->said; i++)
        if (i != KEYS)
            append(&texts[i], read->pieces[i], size_of_piece(read, i));
}

/* Add a frame to the lists of its line, with all its rows. */
static void
join_lists(Line *line, const Held *held, int64_t at_ms)
{
    static const int by_row[] = {SCORE, DECISION, KEYS};
    const Read *read = &held->read;
    join_request(line, held, at_ms);
    line->rows += read->frame.rows;
    for (int i = 0; i < 3 && by_row[i] < read->said; i++)
        append(&line->texts[by_row[i]], read->pieces[by_row[i]], size_of_piece(read, by_row[i]));
}

/* Add a frame to the columns of its line. */
static void
join_columns(Line *line, const Read *read)
{
    const char *data = read->data;
    for (uint32_t i = 0; i < read->frame.columns; i++) {
        memcpy(line->at[i], data, size_of(read, i));
        line->at[i] += size_of(read, i);
        data += size_of(read, i);
    }
}

/* Return (at_ms, what, rows, uniques, scores, decisions, events, keys, ofs, latencies, later, columns) of a line, whose columns are
 * given away; events, keys and ofs are None if nobody said any. */
static PyObject *
line_told(Line *line, const Read *one, int64_t at_ms)
{
    const Text *texts = line->texts;
    if (end_lists(line) < 0) {
        Py_CLEAR(line->columns);
        return NULL;
    }
    int said = one->said == PIECES;
    PyObject *columns = line->columns;
    line->columns = NULL;
    return Py_BuildValue("Ly#Ly#y#y#y#y#y#y#y#N", (long long)at_ms, one->what, (Py_ssize_t)one->frame.what, line->rows,
                         texts[UNIQUE].bytes, texts[UNIQUE].size, texts[SCORE].bytes, texts[SCORE].size, texts[DECISION].bytes,
                         texts[DECISION].size, said ? texts[EVENT].bytes : NULL, texts[EVENT].size,
                         said ? texts[KEYS].bytes : NULL, texts[KEYS].size,
                         said ? texts[OF].bytes : NULL, texts[OF].size,
                         texts[LATENCIES].bytes, texts[LATENCIES].size, texts[LATER].bytes, texts[LATER].size, columns);
}

static const Held *
next_of(const Held *frames, const Held *held)
{
    return held->next < 0 ? NULL : frames + held->next;
}

/* Add up the bytes of a line's columns. */
static void
add_up(const Held *frames, const Held *first, Py_ssize_t *sizes)
{
    memset(sizes, 0, first->read.frame.columns * sizeof *sizes);
    for (const Held *held = first; held != NULL; held = next_of(frames, held))
        for (uint32_t column = 0; column < first->read.frame.columns; column++)
            sizes[column] += size_of(&held->read, column);
}

/* Begin a line with all rows of its frames, but for its columns; find how many bytes those have. */
static void
join_all_lists(Line *line, const Held *frames, const Held *first, Py_ssize_t *sizes)
{
    begin_lists(line);
    add_up(frames, first, sizes);
    for (const Held *held = first; held != NULL; held = next_of(frames, held))
        join_lists(line, held, first->at_ms);
}

/* Return the line that begins with a frame, see `line_told`. */
static PyObject *
told(Line *line, const Held *frames, const Held *first)
{
    Py_ssize_t sizes[MOST_COLUMNS];
    join_all_lists(line, frames, first, sizes);
    line->columns = room_for(first->read.frame.columns, sizes, line->at);
    if (line->columns == NULL)
        return NULL;
    for (const Held *held = first; held != NULL; held = next_of(frames, held))
        join_columns(line, &held->read);
    return line_told(line, &first->read, first->at_ms);
}

/* Put a list of a line behind its name; null if it has nothing but these letters. */
static void
put_list(Pen *pen, const char *name, const Text *list, const char *nothing)
{
    Py_ssize_t at = 0;
    while (at < list->size && strchr(nothing, list->bytes[at]) != NULL)
        at++;
    put_literal(pen, name);
    put(pen, "[", at < list->size);
    put(pen, at < list->size ? list->bytes : "null", at < list->size ? list->size : 4);
    put(pen, "]", at < list->size);
}

/* Return how NumPy calls a type that `code` returned; NULL for texts. */
static const char *
kind_of(char type)
{
    static const char kinds[][4] = {"ef2", "ff4", "df8", "?b1", "bi1", "Bu1", "hi2", "Hu2", "ii4", "Iu4", "qi8", "Qu8"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i][0] == type)
            return kinds[i] + 1;
    return NULL;
}

/* Write a line whose lists are complete as version 8 has it, or 9 where a share of the rows is kept, see capture.py: it is followed by the
 * bytes of its columns, for which there is room then. one: its first frame. Returns -1 with an error. */
static int
put_line(Pen *pen, Line *line, const Read *one, int64_t at_ms, const Py_ssize_t *sizes, double share)
{
    const Text *texts = line->texts;
    if (end_lists(line) < 0)
        return -1;
    const char *at = one->what, *end = at + one->frame.what, *zero = NULL; /* behind its place comes its head, then its columns */
    for (int i = -2; i < (int)one->frame.columns; i++, at = zero + 1) {
        const char *kind = NULL;
        zero = memchr(at, 0, (size_t)(end - at));
        if (zero == NULL || zero == at || (i >= 0 && (kind = kind_of(zero[-1])) == NULL)) {
            PyErr_SetString(PyExc_ValueError, "its columns are not of numbers");
            return -1;
        }
        if (i == -2)
            continue;
        if (i >= 0) {
            put(pen, ",", i > 0);
            put(pen, at, zero - 1 - at);
            put(pen, "\"", 1);
            put(pen, kind, 2);
            put(pen, ":", 1);
            put_digits(pen, sizes[i]);
            put(pen, "\"", 1);
            continue;
        }
        const char *comma = memchr(at, ',', (size_t)(zero - at)); /* behind the version of other lines */
        put_literal(pen, "{\"v\":");
        put_digits(pen, share < 1 ? KEPT_VERSION : LINE_VERSION);
        put(pen, comma == NULL ? zero : comma, comma == NULL ? 0 : zero - comma);
        put_literal(pen, "\"at\":");
        put_digits(pen, at_ms);
        put_list(pen, ",\"later\":", &texts[LATER], "0,");
        put_list(pen, ",\"unique\":", &texts[UNIQUE], "");
        put_list(pen, ",\"us\":", &texts[LATENCIES], "");
        put_list(pen, ",\"event\":", &texts[EVENT], "nul,");
        put_list(pen, ",\"keys\":", &texts[KEYS], "nul,");
        put_list(pen, ",\"of\":", &texts[OF], "nul,");
        put_literal(pen, ",\"inputs\":{");
    }
    put_list(pen, "},\"score\":", &texts[SCORE], "");
    put_list(pen, ",\"decision\":", &texts[DECISION], "");
    if (share < 1) {
        char *written = PyOS_double_to_string(share, 'r', 0, 0, NULL);
        if (written == NULL)
            return -1;
        put_literal(pen, ",\"share\":");
        put_literal(pen, written);
        put_list(pen, ",\"rows\":", &texts[PLACES], "");
        PyMem_Free(written);
    }
    put_literal(pen, "}\n");
    for (uint32_t i = 0; i < one->frame.columns && pen->at != NULL; i++) {
        line->at[i] = pen->at;
        pen->at = pen->end - pen->at < sizes[i] ? NULL : pen->at + sizes[i];
    }
    if (pen->at == NULL) {
        PyErr_SetString(PyExc_ValueError, NO_ROOM);
        return -1;
    }
    return 0;
}

/* What becomes of the rows of a line of which a part is kept: which stay, a byte each; and what the others had, to be counted. */
typedef struct {
    double share;
    uint8_t *stay;
    Py_ssize_t width[MOST_COLUMNS]; /* bytes of a row */
    int item[MOST_COLUMNS];         /* bytes of one of its values */
    long long kept, gone, counted;  /* rows; counted: of those that are gone, as far as they were joined */
    int64_t at[2], event[2];        /* of the requests that rows are gone of, the first and the last */
    Py_ssize_t *rows;               /* of a frame: where those that are gone begin */
    double *scores;                 /* of all rows that are gone; and behind it their columns, and what was decided */
    char *to[MOST_COLUMNS];
    uint8_t *decisions;
} Part;

static uint8_t value_of[256]; /* of Crockford's letters, see prediction.py */

/* Return the number that the last twelve letters of an id are, which end at `end`. */
static uint64_t
number_of(const char *end)
{
    uint64_t number = 0;
    for (int i = -12; i < 0; i++)
        number = number << 5 | value_of[(unsigned char)end[i]];
    return number;
}

/* Return the point of a row, see `point_of_row` in sampling.py. Source: splitmix64. */
static double
point_of(uint64_t number, uint64_t row)
{
    uint64_t state = number + (row + 1) * 0x9E3779B97F4A7C15;
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9;
    state = (state ^ state >> 27) * 0x94D049BB133111EB;
    return (double)((state ^ state >> 31) >> 11) / 9007199254740992.0;
}

static int
item_size(char type)
{
    return strchr("dqQ", type) ? 8 : strchr("fiI", type) ? 4 : strchr("ehH", type) ? 2 : 1;
}

/* Look at the columns of a line's first frame. Returns -1 if they cannot be sampled: there are texts among them. */
static int
set_items(const Read *read, Part *part)
{
    const char *at = read->what, *end = at + read->frame.what;
    for (int i = -2; i < (int)read->frame.columns; i++) { /* behind its place and its head */
        const char *zero = memchr(at, 0, (size_t)(end - at));
        if (zero == NULL || zero == at)
            return -1;
        if (i >= 0) {
            if (zero[-1] == TEXTS_AS_JSON || read->frame.rows == 0)
                return -1;
            part->item[i] = item_size(zero[-1]);
            part->width[i] = size_of(read, (uint32_t)i) / read->frame.rows;
        }
        at = zero + 1;
    }
    return 0;
}

/* Decide which rows of a frame stay. Returns how many, or -1 if it is not like the others of its line. */
static long long
decide(const Read *read, const Part *part, uint8_t *stay)
{
    for (uint32_t i = 0; i < read->frame.columns; i++)
        if (part->width[i] <= 0 || part->width[i] % part->item[i] || size_of(read, i) != part->width[i] * (Py_ssize_t)read->frame.rows)
            return -1;
    const char *of = read->said == PIECES ? read->pieces[OF] : "null", *id = read->pieces[UNIQUE], *end = id + size_of_piece(read, UNIQUE);
    if (*of == '"') { /* a shadow's rows go with the answer that it mirrors */
        id = of + 1;
        end = of + size_of_piece(read, OF) - 1;
    }
    if (end - id < 12)
        return -1;
    uint64_t number = number_of(end);
    long long kept = 0;
    for (uint32_t row = 0; row < read->frame.rows; row++)
        kept += stay[row] = point_of(number, row) < part->share;
    return kept;
}

/* Find where a value of a list in JSON ends. Returns NULL if it does not. */
static const char *
end_of_value(const char *at, const char *end)
{
    if (at < end && *at == '"') {
        for (at++; at < end && *at != '"'; at++)
            at += *at == '\\';
        at++;
    }
    else if (end - at > 5)
        at += *at == 't' ? 4 : *at == 'f' ? 5 : 0;
    while (at < end && *at != ',' && *at != ']')
        at++;
    return at < end ? at : NULL;
}

/* Divide a whole number by a power of ten below 10^20, and round once, to a double. Returns whether that could be done: up to 2^53 both
 * are doubles. A long double of 64 bits has all of them, and its quotient is rounded twice, which matters only halfway between two doubles.
 * Source: Clinger, How to read floating point numbers accurately, 1990, section 2. */
static int
divided(uint64_t digits, int power, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
                                    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};
    if (digits < 1ULL << 53) {
        *value = (double)digits / powers[power];
        return 1;
    }
#if LDBL_MANT_DIG == 64
    uint64_t bits;
    long double quotient = (long double)digits / powers[power];
    memcpy(&bits, &quotient, sizeof bits);
    *value = (double)quotient;
    return (bits & 2047) != 1024;
#else
    return 0;
#endif
}

/* Add eight digits to those before them. Returns whether all eight letters are. Source: Lemire, Number parsing at a gigabyte per second,
 * 2021. */
static int
eight_digits(const char *at, uint64_t *digits)
{
    const uint64_t high = 0xF0F0F0F0F0F0F0F0, every_fourth = 0x000000FF000000FF;
    uint64_t word;
    memcpy(&word, at, sizeof word);
    if ((word & high) != 0x3030303030303030 || ((word + 0x0606060606060606) & high) != 0x3030303030303030)
        return 0;
    word -= 0x3030303030303030;
    word = word * 10 + (word >> 8);
    word = (word & every_fourth) * (100 + (1000000ULL << 32)) + (word >> 16 & every_fourth) * (1 + (10000ULL << 32));
    *digits = *digits * 100000000 + (word >> 32);
    return 1;
}

/* Read the number in JSON at `at` as a double. Returns where it ends, or NULL if there is none. */
static const char *
read_number(const char *at, const char *end, double *value)
{
    uint64_t digits = 0;
    const char *from = at + (*at == '-'), *last = from, *point = NULL;
    for (; last < end && last - from < 20; last++) {
        if (point != NULL && last - from <= 12 && end - last > 8 && eight_digits(last, &digits)) {
            last += 7;
            continue;
        }
        unsigned digit = (unsigned char)*last - (unsigned)'0';
        if (digit < 10)
            digits = digits * 10 + digit;
        else if (*last == '.' && point == NULL)
            point = last;
        else
            break;
    }
    int is_short = last - from < 20 || point != NULL; /* of at most 19 digits, which have room */
    if (last > from && is_short && last < end && (*last == ',' || *last == ']') &&
        divided(digits, point == NULL ? 0 : (int)(last - point - 1), value)) {
        *value = *at == '-' ? -*value : *value;
        return last;
    }
    char text[64], *rest;
    last = end_of_value(at, end);
    if (last == NULL || last - at >= (Py_ssize_t)sizeof text)
        return NULL;
    memcpy(text, at, (size_t)(last - at));
    text[last - at] = 0;
    *value = PyOS_string_to_double(text, &rest, NULL);
    if (!PyErr_Occurred() && rest == text + (last - at))
        return last;
    PyErr_Clear();
    return NULL;
}

/* Add the values of a list in JSON that stay, one for each row, to `kept`; the others to those that are counted, but for keys. Returns -1
 * if there is not one for each row. */
static int
share_out(const Read *read, int piece, const uint8_t *stay, Text *kept, const Part *part)
{
    const char *at = read->pieces[piece], *end = at + size_of_piece(read, piece);
    long long gone = part->counted;
    int is_first = 1;
    if (at == end || *at++ != '[')
        return -1;
    for (uint32_t row = 0; row < read->frame.rows; row++) {
        const char *last = piece == SCORE && !stay[row] ? read_number(at, end, &part->scores[gone]) : end_of_value(at, end);
        if (last == NULL || *last != (row + 1 < read->frame.rows ? ',' : ']'))
            return -1;
        if (stay[row]) {
            append(kept, is_first ? "[" : ",", 1);
            append(kept, at, last - at);
            is_first = 0;
        } else {
            if (piece == DECISION)
                part->decisions[gone] = *at == 't';
            gone++;
        }
        at = last + 1;
    }
    if (!is_first)
        append(kept, "]", 1);
    return at == end ? 0 : -1;
}

/* Add the rows of a frame that stay to the lists of its line. Returns -1 if it is damaged. */
static int
join_kept(Line *line, const Held *held, int64_t at_ms, const uint8_t *stay, const Part *part)
{
    long long kept = 0;
    for (uint32_t row = 0; row < held->read.frame.rows; row++)
        kept += stay[row];
    const Read *read = &held->read;
    static Text nothing; /* is appended to only where rows stay */
    Text *texts = kept ? line->texts : NULL;
    if (kept)
        join_request(line, held, at_ms);
    line->rows += kept;
    if (share_out(read, SCORE, stay, kept ? &texts[SCORE] : &nothing, part) < 0 ||
        share_out(read, DECISION, stay, kept ? &texts[DECISION] : &nothing, part) < 0)
        return -1;
    if (kept && read->said == PIECES) {
        if (*read->pieces[KEYS] == 'n')
            append(&texts[KEYS], "null", 4);
        else if (share_out(read, KEYS, stay, &texts[KEYS], part) < 0)
            return -1;
    }
    if (!kept)
        return 0;
    int is_first = 1;
    for (uint32_t row = 0; row < read->frame.rows; row++)
        if (stay[row]) {
            append(&texts[PLACES], is_first ? "[" : ",", 1);
            append_number(&texts[PLACES], row);
            is_first = 0;
        }
    append(&texts[PLACES], "]", 1);
    return 0;
}

/* Add the rows of a frame that stay to the columns of its line. */
static void
join_kept_columns(Line *line, const Read *read, const uint8_t *stay, const Part *part)
{
    const char *data = read->data;
    for (uint32_t i = 0; i < read->frame.columns; i++) {
        for (uint32_t row = 0; row < read->frame.rows; row++)
            if (stay[row]) {
                memcpy(line->at[i], data + row * part->width[i], (size_t)part->width[i]);
                line->at[i] += part->width[i];
            }
        data += size_of(read, i);
    }
}

/* Put a value of each of some rows behind each other. rows: where they begin, in bytes. */
static void
gather(char *to, const char *from, const Py_ssize_t *rows, Py_ssize_t count, int item)
{
    if (item == 4) /* most are of this size, which the compiler then knows */
        for (Py_ssize_t i = 0; i < count; i++)
            memcpy(to + 4 * i, from + rows[i], 4);
    else
        for (Py_ssize_t i = 0; i < count; i++)
            memcpy(to + item * i, from + rows[i], (size_t)item);
}

/* Add the rows of a frame that do not stay to those that are counted: their columns value by value, each of all rows. */
static void
join_gone(Part *part, const Held *held, const uint8_t *stay)
{
    const Read *read = &held->read;
    Py_ssize_t count = 0;
    for (uint32_t row = 0; row < read->frame.rows; row++)
        count += !stay[row];
    if (!count)
        return;
    int64_t event = read->said == PIECES && *read->pieces[EVENT] != 'n' ? strtoll(read->pieces[EVENT], NULL, 10) : held->at_ms;
    event = event < held->at_ms ? event : held->at_ms;
    part->at[0] = held->at_ms < part->at[0] ? held->at_ms : part->at[0];
    part->at[1] = held->at_ms > part->at[1] ? held->at_ms : part->at[1];
    part->event[0] = event < part->event[0] ? event : part->event[0];
    part->event[1] = event > part->event[1] ? event : part->event[1];
    const char *data = read->data;
    for (uint32_t i = 0; i < read->frame.columns; i++) {
        Py_ssize_t item = part->item[i], apart = part->gone * item;
        if (i == 0 || part->width[i] != part->width[i - 1]) {
            count = 0;
            for (uint32_t row = 0; row < read->frame.rows; row++)
                if (!stay[row])
                    part->rows[count++] = row * part->width[i];
        }
        char *to = part->to[i] + part->counted * item;
        for (Py_ssize_t at = 0; at < part->width[i]; at += item, to += apart) /* a frame stays in the nearest cache */
            gather(to, data + at, part->rows, count, part->item[i]);
        data += size_of(read, i);
    }
    part->counted += count;
}

static void
free_part(Part *part)
{
    PyMem_Free(part->stay);
    PyMem_Free(part->rows);
}

/* Look through the frames of a line once, and decide about their rows. Returns -1 with an error. */
static int
prepare(Part *part, const Held *frames, const Held *first)
{
    Py_ssize_t rows = 0, most = 0;
    part->kept = part->gone = part->counted = 0;
    part->at[0] = part->event[0] = INT64_MAX;
    part->at[1] = part->event[1] = INT64_MIN;
    for (const Held *held = first; held != NULL; held = next_of(frames, held)) {
        rows += held->read.frame.rows;
        most = held->read.frame.rows > most ? held->read.frame.rows : most;
    }
    free_part(part);
    part->stay = PyMem_Malloc((size_t)rows + 1);
    part->rows = PyMem_Malloc((size_t)most * sizeof *part->rows + 1);
    if (part->stay == NULL || part->rows == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    long long kept = set_items(&first->read, part);
    uint8_t *stay = part->stay;
    for (const Held *held = first; held != NULL && kept >= 0; held = next_of(frames, held)) {
        kept = decide(&held->read, part, stay);
        part->kept += kept;
        part->gone += held->read.frame.rows - kept;
        stay += held->read.frame.rows;
    }
    if (kept < 0)
        PyErr_SetString(PyExc_ValueError, "its rows cannot be sampled");
    return kept < 0 ? -1 : 0;
}

/* Return a size such that what comes behind it begins where any number may. */
static Py_ssize_t
rounded(long long size)
{
    return (Py_ssize_t)(size + 7) & ~(Py_ssize_t)7;
}

/* Take room at the end of what is free for what the rows that are gone had. Returns -1 with an error if there is none. */
static int
take_room(Part *part, uint32_t columns, Pen *pen)
{
    Py_ssize_t size = rounded(part->gone * (long long)sizeof *part->scores) + rounded(part->gone * (long long)sizeof *part->decisions);
    for (uint32_t i = 0; i < columns; i++)
        size += rounded(part->gone * part->width[i]);
    if (pen->at == NULL || pen->end - pen->at < size) {
        PyErr_SetString(PyExc_ValueError, NO_ROOM);
        return -1;
    }
    pen->end -= size;
    part->scores = (double *)pen->end;
    char *at = pen->end + rounded(part->gone * (long long)sizeof *part->scores);
    for (uint32_t i = 0; i < columns; i++) {
        part->to[i] = at;
        at += rounded(part->gone * part->width[i]);
    }
    part->decisions = (uint8_t *)at;
    return 0;
}

/* As `join_all_lists`, with the rows that stay; what the others had goes to `part`. Returns -1 with an error. */
static int
join_kept_lists(Line *line, Part *part, const Held *frames, const Held *first, Pen *pen, Py_ssize_t *sizes)
{
    begin_lists(line);
    if (prepare(part, frames, first) < 0 || take_room(part, first->read.frame.columns, pen) < 0)
        return -1;
    const uint8_t *stay = part->stay;
    for (const Held *held = first; held != NULL; held = next_of(frames, held)) {
        if (join_kept(line, held, first->at_ms, stay, part) < 0) {
            PyErr_SetString(PyExc_ValueError, "its rows cannot be sampled");
            return -1;
        }
        join_gone(part, held, stay);
        stay += held->read.frame.rows;
    }
    for (uint32_t i = 0; i < first->read.frame.columns; i++)
        sizes[i] = part->kept * part->width[i];
    return 0;
}

/* Write the line that begins with a frame into the room, with the rows that stay. Returns (what, line or None, rest or None): of the line how
 * many rows it has, where it begins and where it ends, and of the other rows (rows, first and last at_ms, first and last event, where they
 * begin): scores, columns and decisions, each where any number may begin. */
static PyObject *
parted(Line *line, Part *part, const Held *frames, const Held *first, Pen *pen, const char *room)
{
    const Read *one = &first->read;
    Py_ssize_t sizes[MOST_COLUMNS];
    int are_all = part->share >= 1;
    if (are_all)
        join_all_lists(line, frames, first, sizes);
    else if (join_kept_lists(line, part, frames, first, pen, sizes) < 0)
        return NULL;
    const char *from = pen->at;
    const uint8_t *stay = part->stay;
    if (line->rows && put_line(pen, line, one, first->at_ms, sizes, part->share) < 0)
        return NULL;
    for (const Held *held = line->rows ? first : NULL; held != NULL; held = next_of(frames, held)) {
        if (are_all)
            join_columns(line, &held->read);
        else {
            join_kept_columns(line, &held->read, stay, part);
            stay += held->read.frame.rows;
        }
    }
    PyObject *kept = line->rows ? Py_BuildValue("Lnn", line->rows, (Py_ssize_t)(from - room), (Py_ssize_t)(pen->at - room)) : Py_NewRef(Py_None);
    PyObject *gone = are_all || !part->gone
                         ? Py_NewRef(Py_None)
                         : Py_BuildValue("LLLLLn", part->gone, (long long)part->at[0], (long long)part->at[1], (long long)part->event[0],
                                         (long long)part->event[1], (Py_ssize_t)((const char *)part->scores - room));
    PyObject *parts = kept == NULL || gone == NULL ? NULL : Py_BuildValue("y#OO", one->what, (Py_ssize_t)one->frame.what, kept, gone);
    Py_XDECREF(kept);
    Py_XDECREF(gone);
    return parts;
}

/* Find the frames of batches; is_own: this process wrote them, and nobody needs to look whether all of them was written. Returns how many, or -1 if a part is damaged. */
static Py_ssize_t
find(const char *at, const char *end, uint64_t generation, Held *frames, int is_own)
{
    Py_ssize_t count = 0;
    while (at < end) {
        Batch batch = {0};
        if (end - at > (Py_ssize_t)sizeof batch)
            memcpy(&batch, at, sizeof batch);
        uint32_t sum = batch.sum;
        batch.sum = 0;
        if (batch.size <= sizeof batch || batch.size > end - at || sum_of(generation, &batch, sizeof batch, NULL, 0) != sum)
            return -1;
        const char *last = at + batch.size;
        for (at += sizeof batch; at < last; at = frames[count++].read.end) {
            Held *held = frames + count;
            if (!read_frame(at, last, &held->read) || !(is_own || is_whole(&held->read, generation)))
                return -1;
            held->at_ms = batch.at_ms;
            held->now = batch.now;
            held->next = held->last = -1;
            held->size = held->read.frame.size;
        }
    }
    return count;
}

/* Chain the frames of each line: of the same target, with inputs of the same types and shapes, recorded on one day (UTC), until they
 * are `enough` bytes. Returns -1 if there is no memory. Those who are first are found by what they say, in a table with room for twice as many. */
static int
chain(Held *frames, Py_ssize_t count, Py_ssize_t enough)
{
    size_t room = 4;
    while (room < 2 * (size_t)count)
        room *= 2;
    Py_ssize_t *table = PyMem_Calloc(room, sizeof *table); /* one more than which frame; 0: none */
    if (table == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        const Read *read = &frames[i].read;
        size_t slot = mixed(BASIS, read->what, read->frame.what) & (room - 1);
        while (table[slot] && !is_like(&frames[table[slot] - 1].read, read))
            slot = (slot + 1) & (room - 1);
        Held *first = table[slot] ? frames + table[slot] - 1 : NULL;
        if (first != NULL && first->size < enough && first->at_ms / DAY_MS == frames[i].at_ms / DAY_MS) {
            frames[first->last].next = i;
            first->last = i;
            first->size += frames[i].size;
        } else {
            table[slot] = i + 1;
            frames[i].last = i;
        }
    }
    PyMem_Free(table);
    return 0;
}

/* Return what is made of each line of batches. share_of: tells the share of a target that is kept; NULL where lines are told, and not
 * written in `room`, from `pen` on. */
static PyObject *
read_lines(const char *at, const char *end, uint64_t generation, PyObject *share_of, Pen *pen, const char *room)
{
    Line line = {0};
    Part part = {0};
    Held *frames = PyMem_Malloc((size_t)(end - at) / sizeof(Frame) * sizeof *frames + 1);
    PyObject *found = NULL;
    Py_ssize_t count = frames == NULL ? 0 : find(at, end, generation, frames, share_of != NULL);
    if (count < 0)
        PyErr_SetString(PyExc_ValueError, "a part of it is damaged");
    else if (frames == NULL || chain(frames, count, share_of == NULL ? ENOUGH : PY_SSIZE_T_MAX) < 0)
        PyErr_NoMemory();
    else
        found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && i < count; i++) {
        if (frames[i].last < 0)
            continue;
        PyObject *one = NULL, *share = NULL;
        if (share_of == NULL)
            one = told(&line, frames, frames + i);
        else {
            const Read *first = &frames[i].read;
            share = PyObject_CallFunction(share_of, "y#", first->what, (Py_ssize_t)first->frame.what);
            part.share = share == NULL ? -1 : PyFloat_AsDouble(share);
            if (share != NULL && !PyErr_Occurred())
                one = parted(&line, &part, frames, frames + i, pen, room);
            Py_XDECREF(share);
        }
        if (one == NULL || PyList_Append(found, one) < 0)
            Py_CLEAR(found);
        Py_XDECREF(one);
    }
    for (int text = 0; text < TEXTS; text++)
        PyMem_Free(line.texts[text].bytes);
    free_part(&part);
    PyMem_Free(frames);
    return found;
}

static PyObject *
lines(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer view;
    unsigned long long generation;
    if (!PyArg_ParseTuple(args, "y*K", &view, &generation))
        return NULL;
    PyObject *found = read_lines(view.buf, (const char *)view.buf + view.len, generation, NULL, NULL, NULL);
    PyBuffer_Release(&view);
    return found;
}

static PyObject *
sampled(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer view, room;
    unsigned long long generation;
    PyObject *share_of;
    Py_ssize_t free_from, free_to;
    if (!PyArg_ParseTuple(args, "y*KOw*nn", &view, &generation, &share_of, &room, &free_from, &free_to))
        return NULL;
    const char *at = view.buf, *end = at + view.len;
    Batch batch;
    while (at < end && at - (const char *)view.buf < SOME && end - at >= (Py_ssize_t)sizeof batch) {
        memcpy(&batch, at, sizeof batch);
        at = batch.size > end - at || batch.size == 0 ? end : at + batch.size;
    }
    if (at == view.buf)
        at = end; /* which is found to be damaged, where there is anything */
    char *base = room.buf;
    int is_free = 0 <= free_from && free_from <= free_to && free_to <= room.len;
    Pen pen = {is_free ? base + free_from : base, is_free ? base + free_to : base};
    PyObject *found = read_lines(view.buf, at, generation, share_of, &pen, base);
    Py_ssize_t used = at - (const char *)view.buf;
    free_from = found == NULL ? 0 : pen.at - base;
    free_to = pen.end - base;
    PyBuffer_Release(&view);
    PyBuffer_Release(&room);
    return found == NULL ? NULL : Py_BuildValue("nnnN", used, free_from, free_to, found);
}

#define METHOD(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"add", METHOD(frames_add), METH_FASTCALL, "Add a request; False if it cannot be taken, or there is no room: nothing is added."},
    {"commit", METHOD(frames_commit), METH_NOARGS, "Make safe what was added, as recorded now; return where what is safe ends."},
    {"clear", METHOD(frames_clear), METH_NOARGS, "Begin anew, and leave nothing of what stood there."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Frames(buffer): a journal in a writable buffer, but for its magic."},
    {Py_tp_new, frames_new},
    {Py_tp_dealloc, frames_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "custody.inference.captures._journal.Frames",
    .basicsize = sizeof(Frames),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static int
execute(PyObject *module)
{
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for (uint8_t i = 0; letters[i]; i++)
        value_of[(unsigned char)letters[i]] = i;
    if (PyArray_ImportNumPyAPI() < 0)
        return -1;
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (type == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, "Frames", type) < 0 || PyModule_AddIntConstant(module, "FORMAT", FORMAT) < 0 ? -1 : 0;
    Py_DECREF(type);
    return failed;
}

static PyMethodDef functions[] = {
    {"lines", lines, METH_VARARGS, "Return what stands in batches of a generation by line: when it was recorded, the target, rows, and its lists."},
    {"sampled", sampled, METH_VARARGS,
     "Return how much of some batches was read, where what is still free of the room begins and ends, and by line what is kept of it, and of the rows that are not what is counted."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_journal", .m_doc = "Frames of a journal.", .m_methods = functions, .m_slots = module_slots};

PyMODINIT_FUNC
PyInit__journal(void)
{
    return PyModuleDef_Init(&module);
}
