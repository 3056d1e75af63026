/* Floats counted by bucket, see summary.py: what `count_floats` does, in one pass and at a fifth of the cost.
 *
 * It keeps to Python's limited API and NumPy's: one build serves every Python from 3.11 on.
 */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <float.h>
#include <math.h>
#include <numpy/arrayobject.h>
#include <stdint.h>
#include <string.h>

#if PY_BIG_ENDIAN || !defined(__GNUC__)
#error "Bits are read little-endian, and looked for with GCC's or Clang's own functions."
#endif

#if defined(__x86_64__) && defined(__GLIBC__)
#define WIDER __attribute__((target_clones("avx2", "default"))) /* chosen when the module is loaded */
#else
#define WIDER
#endif

enum { BITS = 15, NEGATIVE = 65536, ZERO = 65281, BUCKETS = 131072, INFINITE = 65280, STEP = 256, BLOCK = 64, MOST_DIGITS = 8 };

/* Rows of each rank, and in which blocks of ranks there are any; empty between calls, which hold the interpreter's lock. */
static uint32_t rows_of[BUCKETS];
static uint8_t is_used[BUCKETS / BLOCK];

typedef struct {
    npy_intp missing, nan, high, low;
} Special;

/* Return the 17 leading bits of a standardised value as float32; -0 is 0. */
static inline uint32_t
prefix_of(double value, double center, double scale)
{
    float number = (float)((value - center) / scale) + 0.0f;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits >> BITS;
}

static inline int32_t
rank_of(uint32_t prefix)
{
    int32_t sign = -(int32_t)(prefix / NEGATIVE);
    return ZERO + ((int32_t)(prefix % NEGATIVE) ^ sign);
}

static inline void
count_rank(int32_t rank)
{
    rows_of[rank]++;
    is_used[(uint32_t)rank / BLOCK] = 1; /* without a look whether it is: half the time */
}

static void
count(uint32_t prefix, Special *special)
{
    uint32_t size = prefix % NEGATIVE;
    if (size >= INFINITE)
        *(size > INFINITE ? &special->nan : prefix == INFINITE ? &special->high : &special->low) += 1;
    else
        count_rank(rank_of(prefix));
}

/* Find the fewest digits behind the point that tell a float32, and set `value` to what they read as. Returns whether there are such:
 * not of large and of tiny ones. The products are exact, and the quotients too far from the middle of two floats to be rounded twice. */
static int
shortest(float number, double *value)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    for (int digits = 0; fabsf(number) < 16777216.0f && digits <= MOST_DIGITS; digits++) {
        *value = rint((double)number * powers[digits]) / powers[digits];
        if ((float)*value == number)
            return 1;
    }
    return 0;
}

/* As `shortest`, of any float32 but powers of two, above which there is more room than below, so that the nearest number of so many digits
 * need not be the one that tells it. Nor is it said of what lies so close to the middle of two floats that a double cannot tell which side. */
static int
shortest_of_any(float number, double *value)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    if ((bits & 0x7FFFFF) == 0)
        return 0;
    double half = (double)(nextafterf(fabsf(number), 0) - fabsf(number)) / -2;
    for (int digits = 1; digits <= FLT_DECIMAL_DIG; digits++) {
        char *text = PyOS_double_to_string(number, 'g', digits, 0, NULL);
        *value = text == NULL ? -1 : PyOS_string_to_double(text, NULL, NULL);
        PyMem_Free(text);
        double away = fabs(*value - (double)number);
        if (PyErr_Occurred() || fabs(away - half) < 1e-6 * half) {
            PyErr_Clear();
            return 0;
        }
        if (away < half)
            return 1;
    }
    return 0;
}

/* Return the rank of what is read as a float32, if both ends of it are in one bucket, or else -1: half a step around it, and half a step is
 * half its last bit. */
static int32_t
exact_rank(float number, double center, double scale)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    uint64_t exponent = bits >> 23 & 255, half_bits = ((exponent ? exponent : 1) + 1023 - 127 - 24) << 52;
    double half;
    memcpy(&half, &half_bits, sizeof half);
    uint32_t low = prefix_of((double)number - half, center, scale), high = prefix_of((double)number + half, center, scale);
    return low == high && low % NEGATIVE < INFINITE ? rank_of(low) : -1;
}

/* Set the ranks of float32 numbers, standardised in their own precision, or -1 where that cannot tell.
 *
 * With u = 2^-24, what is read lies within |number| u of the number; taking the center away adds (|center| + |difference|) u to that, the
 * factor and the product 2 |result| u, rounding the exact result |result| u, and the ends |result| u. Where numbers are too small for
 * that to hold, or the result is, it cannot tell. */
WIDER static void
rough_ranks(const float *restrict numbers, float center, float factor, int32_t *restrict ranks)
{
    const float u = 0x1.01p-24f, least = 0x1p-100f, own = factor * u;
    for (int i = 0; i < STEP; i++) {
        float result = (numbers[i] - center) * factor;
        float around = (fabsf(numbers[i]) + fabsf(center)) * own + fabsf(result) * (6 * u);
        float ends[2] = {result - around, result + around};
        int32_t low, high;
        memcpy(&low, &ends[0], sizeof low);
        memcpy(&high, &ends[1], sizeof high);
        low >>= BITS; /* with its sign, as rank_of has it */
        high >>= BITS;
        int32_t clear = -((low == high) & (fabsf(numbers[i]) >= least) & (fabsf(result) >= least) & (fabsf(result) <= 0x1p100f));
        int32_t rank = ZERO + ((low & (NEGATIVE - 1)) ^ low >> 31);
        ranks[i] = (rank & clear) | ~clear;
    }
}

/* Count a float32 number that has no rank yet. Returns whether it is not clear, and has no short form. */
static int
count_number(float number, double center, double scale, Special *special)
{
    double value;
    int32_t rank;
    if (!isfinite(number))
        special->missing++;
    else if (number == 0)
        count(prefix_of(0, center, scale), special);
    else if ((rank = exact_rank(number, center, scale)) >= 0)
        count_rank(rank);
    else if (shortest(number, &value) || shortest_of_any(number, &value))
        count(prefix_of(value, center, scale), special);
    else
        return 1;
    return 0;
}

/* Count float32 numbers; those that are not clear, and have no short form, go to `unclear`. Returns how many. */
static npy_intp
count_narrow(const char *at, npy_intp stride, npy_intp size, double center, double scale, Special *special, double *unclear)
{
    npy_intp left = 0;
    float copied[STEP] = {0};
    int32_t ranks[STEP];
    int is_packed = stride == sizeof *copied && (uintptr_t)at % sizeof *copied == 0;
    int is_usual = scale > 0x1p-60 && scale < 0x1p60 && fabs(center) < 0x1p60;
    memset(ranks, -1, sizeof ranks);
    for (npy_intp start = 0; start < size; start += STEP) {
        npy_intp some = size - start < STEP ? size - start : STEP;
        const float *numbers = is_packed && some == STEP ? (const float *)at + start : copied;
        for (npy_intp i = 0; i < some && numbers == copied; i++)
            memcpy(copied + i, at + (start + i) * stride, sizeof *copied);
        if (is_usual)
            rough_ranks(numbers, (float)center, (float)(1 / scale), ranks);
        for (npy_intp i = 0; i < some; i += 4) { /* with one question for four of them */
            const int32_t *four = ranks + i;
            if (some - i >= 4 && (four[0] | four[1] | four[2] | four[3]) >= 0) {
                count_rank(four[0]);
                count_rank(four[1]);
                count_rank(four[2]);
                count_rank(four[3]);
                continue;
            }
            for (npy_intp k = i; k < some && k < i + 4; k++) {
                if (ranks[k] >= 0)
                    count_rank(ranks[k]);
                else if (count_number(numbers[k], center, scale, special))
                    unclear[left++] = numbers[k];
            }
        }
    }
    return left;
}

static void
count_wide(const char *at, npy_intp stride, npy_intp size, double center, double scale, Special *special)
{
    for (npy_intp i = 0; i < size; i++) {
        double value;
        memcpy(&value, at + i * stride, sizeof value);
        if (isfinite(value))
            count(prefix_of(value, center, scale), special);
        else
            special->missing++;
    }
}

/* Put the ranks that have rows, in order, and how many each into a pair, as bytes of int64; none has any afterwards. Returns the pair,
 * or NULL with an error. Nothing is made here that could have Python collect, and another thread count, in between. */
static PyObject *
taken_away(PyObject *pair)
{
    Py_ssize_t found = 0;
    for (int block = 0; block < BUCKETS / BLOCK; block++)
        for (int rank = block * BLOCK; is_used[block] && rank < (block + 1) * BLOCK; rank++)
            found += rows_of[rank] != 0;
    int64_t *ranks = NULL, *rows = NULL;
    for (int part = 0; pair != NULL && part < 2; part++) {
        PyObject *bytes = PyBytes_FromStringAndSize(NULL, found * (Py_ssize_t)sizeof(int64_t));
        *(part ? &rows : &ranks) = bytes == NULL ? NULL : (int64_t *)PyBytes_AsString(bytes);
        if (bytes == NULL || PyTuple_SetItem(pair, part, bytes) < 0)
            Py_CLEAR(pair);
    }
    for (int block = 0; block < BUCKETS / BLOCK; block++) {
        if (!is_used[block])
            continue;
        int64_t some[2][BLOCK + 1];
        size_t count = 0;
        for (int rank = block * BLOCK; rank < (block + 1) * BLOCK; rank++) { /* without a jump that cannot be foreseen */
            some[0][count] = rank;
            some[1][count] = rows_of[rank];
            count += rows_of[rank] != 0;
        }
        if (pair != NULL) {
            memcpy(ranks, some[0], count * sizeof *ranks);
            memcpy(rows, some[1], count * sizeof *rows);
            ranks += count;
            rows += count;
        }
        memset(rows_of + block * BLOCK, 0, BLOCK * sizeof *rows_of);
        is_used[block] = 0;
    }
    return pair;
}

/* Return an array of floats that can be counted, or NULL with an error. */
static PyArrayObject *
floats_in(PyObject *pieces, Py_ssize_t place)
{
    PyObject *values = PyTuple_GetItem(pieces, place);
    PyArrayObject *array = (PyArrayObject *)values;
    int type = PyArray_Check(values) ? PyArray_TYPE(array) : NPY_NOTYPE;
    if ((type == NPY_FLOAT || type == NPY_DOUBLE) && PyArray_NDIM(array) == 1 && PyArray_ISNOTSWAPPED(array) && PyArray_SIZE(array) <= UINT32_MAX)
        return array;
    PyErr_SetString(PyExc_ValueError, "pieces must be arrays of float32 or float64, of shape (n,)");
    return NULL;
}

static PyObject *
counted(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *pieces;
    double center, scale;
    if (!PyArg_ParseTuple(args, "O!dd", &PyTuple_Type, &pieces, &center, &scale))
        return NULL;
    npy_intp narrow = 0, left = 0;
    for (Py_ssize_t i = 0; i < PyTuple_Size(pieces); i++) {
        PyArrayObject *array = floats_in(pieces, i);
        if (array == NULL)
            return NULL;
        narrow += PyArray_TYPE(array) == NPY_FLOAT ? PyArray_SIZE(array) : 0;
    }
    PyObject *pair = PyTuple_New(2), *found = NULL;
    double *unclear = PyMem_Malloc((size_t)narrow * sizeof *unclear + 1);
    if (pair == NULL || unclear == NULL) {
        Py_XDECREF(pair);
        PyMem_Free(unclear);
        return PyErr_NoMemory();
    }
    Special special = {0};
    for (Py_ssize_t i = 0; i < PyTuple_Size(pieces); i++) {
        PyArrayObject *array = floats_in(pieces, i);
        npy_intp size = PyArray_DIM(array, 0), stride = PyArray_STRIDE(array, 0);
        if (PyArray_TYPE(array) == NPY_FLOAT)
            left += count_narrow(PyArray_DATA(array), stride, size, center, scale, &special, unclear + left);
        else
            count_wide(PyArray_DATA(array), stride, size, center, scale, &special);
    }
    pair = taken_away(pair);
    if (pair != NULL)
        found = Py_BuildValue("OO(nnnn)y#", PyTuple_GetItem(pair, 0), PyTuple_GetItem(pair, 1), special.missing, special.nan,
                              special.high, special.low, (char *)unclear, left * (Py_ssize_t)sizeof *unclear);
    Py_XDECREF(pair);
    PyMem_Free(unclear);
    return found;
}

static PyMethodDef functions[] = {
    {"counted", counted, METH_VARARGS,
     "Return the ranks of floats and how many are of each, (missing, nan, high, low), and float32 numbers to count apart."},
    {NULL, NULL, 0, NULL},
};

static int
execute(PyObject *Py_UNUSED(module))
{
    return PyArray_ImportNumPyAPI();
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_buckets", .m_doc = "Floats counted by bucket.", .m_methods = functions, .m_slots = module_slots};

PyMODINIT_FUNC
PyInit__buckets(void)
{
    return PyModuleDef_Init(&module);
}
