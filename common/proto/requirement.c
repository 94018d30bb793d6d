/* SPDX-License-Identifier: MIT
 *
 * The grammar of requirements, see requirement.h: PEP 508 without URLs, versions as in
 * PEP 440. One function per rule, each of which writes the canonical form as it reads.
 *
 *     requirement = name [extras] [specifiers] [";" marker]
 *     extras      = "[" [name *("," name)] "]"
 *     specifiers  = "(" list ")" / list,   list = specifier *("," specifier)
 *     specifier   = ("<=" "<" "!=" "==" ">=" ">" "~=" "===") version
 *     marker      = and *("or" and),       and = term *("and" term)
 *     term        = "(" marker ")" / value operator value */
#include "proto/requirement.h"

#include <stdlib.h>

#define MAX_LEN   512  /* bytes of one requirement */
#define MAX_SET   1000 /* requirements of a set */
#define MAX_PARTS 32   /* extras, or specifiers */
#define MAX_DEPTH 16   /* of parentheses in a marker */

typedef struct parser {
    const char *at;
    const char *end;
    const char *why; /* set by whoever refuses */
    unsigned depth;
} parser_t;

/* --- characters: ASCII only, whatever the locale ------------------------------------ */

static bool s_is_digit (char c)
{
    return c >= '0' && c <= '9';
}

static char s_lower (char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static bool s_is_alnum (char c)
{
    char lower = s_lower (c);
    return s_is_digit (c) || (lower >= 'a' && lower <= 'z');
}

static bool s_is_separator (char c)
{
    return c == '-' || c == '_' || c == '.';
}

/* The next character, NUL at the end; the text itself holds no NUL (s_check_text). */
static char s_peek (const parser_t *self)
{
    return self->at < self->end ? *self->at : '\0';
}

static void s_skip_blanks (parser_t *self)
{
    while (s_peek (self) == ' ' || s_peek (self) == '\t')
        self->at++;
}

static bool s_take (parser_t *self, char c)
{
    s_skip_blanks (self);
    if (s_peek (self) != c)
        return false;
    self->at++;
    return true;
}

static bool s_refuse (parser_t *self, const char *why)
{
    if (!self->why)
        self->why = why;
    return false;
}

static void s_put (usi_buf_t *out, char c)
{
    usi_buf_append (out, &c, 1);
}

/* --- parts that are sorted ----------------------------------------------------------- */

/* Parts are written to one buffer, then put out sorted, each once. */
typedef struct parts {
    usi_buf_t text;
    size_t begin[MAX_PARTS + 1];
    size_t count;
} parts_t;

static bool s_parts_next (parser_t *self, parts_t *parts)
{
    if (parts->count == MAX_PARTS)
        return s_refuse (self, "more than 32 extras or version specifiers");
    parts->begin[parts->count++] = parts->text.len;
    return true;
}

static int s_compare (const void *a, const void *b)
{
    const usi_bytes_t *left = a, *right = b;
    size_t len = left->len < right->len ? left->len : right->len;
    int order = len ? memcmp (left->data, right->data, len) : 0;
    return order ? order : (left->len > right->len) - (left->len < right->len);
}

/* Writes sorted texts with glue between them, duplicates once. */
static void s_put_sorted (usi_bytes_t *texts, size_t count, char glue, usi_buf_t *out)
{
    qsort (texts, count, sizeof *texts, s_compare);
    for (size_t i = 0; i < count; i++) {
        if (i && usi_bytes_equal (texts[i], texts[i - 1]))
            continue;
        if (i)
            s_put (out, glue);
        usi_buf_append (out, texts[i].data, texts[i].len);
    }
}

static void s_put_parts (parts_t *parts, usi_buf_t *out)
{
    usi_bytes_t texts[MAX_PARTS];
    parts->begin[parts->count] = parts->text.len;
    for (size_t i = 0; i < parts->count; i++)
        texts[i] = usi_bytes (parts->text.data + parts->begin[i],
                              parts->begin[i + 1] - parts->begin[i]);
    s_put_sorted (texts, parts->count, ',', out);
    if (parts->text.failed)
        out->failed = true;
}

/* --- names ------------------------------------------------------------------------- */

/* PEP 503: lower case, each run of separators one hyphen. */
static bool s_name (parser_t *self, usi_buf_t *out)
{
    s_skip_blanks (self);
    if (!s_is_alnum (s_peek (self)))
        return s_refuse (self, "a name must begin with a letter or digit");
    char last = 0;
    for (; s_is_alnum (s_peek (self)) || s_is_separator (s_peek (self)); self->at++) {
        char c = s_is_separator (*self->at) ? '-' : s_lower (*self->at);
        if (c != '-' || last != '-')
            s_put (out, c);
        last = c;
    }
    if (last == '-')
        return s_refuse (self, "a name must end with a letter or digit");
    return true;
}

static bool s_extras (parser_t *self, usi_buf_t *out)
{
    if (!s_take (self, '['))
        return true;
    if (s_take (self, ']'))
        return true;
    parts_t extras = {0};
    bool ok;
    do {
        ok = s_parts_next (self, &extras) && s_name (self, &extras.text);
    } while (ok && s_take (self, ','));
    ok = ok && (s_take (self, ']') || s_refuse (self, "an extra must end with , or ]"));
    if (ok) {
        s_put (out, '[');
        s_put_parts (&extras, out);
        s_put (out, ']');
    }
    usi_buf_free (&extras.text);
    return ok;
}

/* --- versions, PEP 440 ----------------------------------------------------------------- */

/* Takes word at the cursor, in either case; what follows does not matter. */
static bool s_take_word (parser_t *self, const char *word)
{
    const char *at = self->at;
    for (; *word; word++, at++)
        if (at == self->end || s_lower (*at) != *word)
            return false;
    self->at = at;
    return true;
}

/* A number without leading zeros; false: there is no digit. */
static bool s_number (parser_t *self, usi_buf_t *out)
{
    if (!s_is_digit (s_peek (self)))
        return false;
    while (s_peek (self) == '0')
        self->at++;
    if (!s_is_digit (s_peek (self)))
        s_put (out, '0');
    for (; s_is_digit (s_peek (self)); self->at++)
        s_put (out, *self->at);
    return true;
}

/* [separator] word [separator] [number]: one of the words of a pre-, post- or development
 * release, written as `as`. false: it does not stand here, nothing is taken. */
static bool s_phase (parser_t *self, const char *const *words, const char *as,
                     usi_buf_t *out)
{
    const char *begin = self->at;
    if (s_is_separator (s_peek (self)))
        self->at++;
    while (*words && !s_take_word (self, *words))
        words++;
    if (!*words) {
        self->at = begin;
        return false;
    }
    usi_buf_text (out, as);
    const char *behind = self->at;
    if (s_is_separator (s_peek (self)))
        self->at++;
    if (!s_number (self, out)) {
        self->at = behind;
        s_put (out, '0');
    }
    return true;
}

static bool s_suffixes (parser_t *self, usi_buf_t *out)
{
    /* Longer words first, since a word is taken without looking behind it. */
    static const char *const alpha[] = {"alpha", "a", NULL};
    static const char *const beta[] = {"beta", "b", NULL};
    static const char *const rc[] = {"rc", "c", "preview", "pre", NULL};
    static const char *const post[] = {"post", "rev", "r", NULL};
    static const char *const dev[] = {"dev", NULL};
    const char *begin = self->at;

    if (!s_phase (self, alpha, "a", out) && !s_phase (self, beta, "b", out))
        s_phase (self, rc, "rc", out);
    bool is_number =
        s_peek (self) == '-' && self->at + 1 < self->end && s_is_digit (self->at[1]);
    if (is_number) {
        self->at++;
        usi_buf_text (out, ".post");
        s_number (self, out);
    } else
        s_phase (self, post, ".post", out);
    s_phase (self, dev, ".dev", out);
    return self->at != begin;
}

/* "+" and parts of letters and digits; dots between them. */
static bool s_local (parser_t *self, usi_buf_t *out)
{
    self->at++;
    s_put (out, '+');
    for (;;) {
        if (!s_is_alnum (s_peek (self)))
            return s_refuse (self, "a local version must be letters and digits");
        for (; s_is_alnum (s_peek (self)); self->at++)
            s_put (out, s_lower (*self->at));
        if (!s_is_separator (s_peek (self)))
            return true;
        self->at++;
        s_put (out, '.');
    }
}

/* What the operator allows behind it. */
typedef struct allowed {
    bool wildcard; /* == and != */
    bool local;
    bool single; /* one number is enough; not for ~= */
} allowed_t;

static bool s_version (parser_t *self, allowed_t allowed, usi_buf_t *out)
{
    s_take_word (self, "v");
    if (!s_number (self, out))
        return s_refuse (self, "a version must begin with a number");
    if (s_peek (self) == '!') {
        self->at++;
        s_put (out, '!');
        if (!s_number (self, out))
            return s_refuse (self, "a version must begin with a number");
    }
    unsigned numbers = 1;
    while (s_peek (self) == '.' && self->at + 1 < self->end &&
           s_is_digit (self->at[1])) {
        self->at++;
        s_put (out, '.');
        s_number (self, out);
        numbers++;
    }
    if (numbers == 1 && !allowed.single)
        return s_refuse (self, "~= needs a version of two numbers or more");

    bool has_suffix = s_suffixes (self, out);
    if (s_take_word (self, ".*")) {
        if (!allowed.wildcard || has_suffix)
            return s_refuse (self, ".* goes with == and != and plain numbers only");
        usi_buf_text (out, ".*");
    } else if (s_peek (self) == '+') {
        if (!allowed.local)
            return s_refuse (self, "a local version goes with == and != only");
        return s_local (self, out);
    }
    return true;
}

/* Behind ===: compared as text. */
static bool s_arbitrary (parser_t *self, usi_buf_t *out)
{
    const char *begin = self->at;
    for (; s_is_alnum (s_peek (self)) || s_is_separator (s_peek (self)) ||
           s_peek (self) == '+' || s_peek (self) == '!';
         self->at++)
        s_put (out, s_lower (*self->at));
    return self->at != begin || s_refuse (self, "=== needs a version");
}

/* --- specifiers ---------------------------------------------------------------------- */

/* Longest first. */
static const char *const s_operators[] = {"===", "==", "~=", "!=", "<=",
                                          ">=",  "<",  ">",  NULL};

static const char *s_operator (parser_t *self)
{
    s_skip_blanks (self);
    for (const char *const *op = s_operators; *op; op++)
        if (s_take_word (self, *op))
            return *op;
    return NULL;
}

static bool s_specifier (parser_t *self, usi_buf_t *out)
{
    const char *op = s_operator (self);
    if (!op)
        return s_refuse (self, "a version needs one of == != <= >= < > ~= ===");
    usi_buf_text (out, op);
    s_skip_blanks (self);
    if (strcmp (op, "===") == 0)
        return s_arbitrary (self, out);
    bool equality = strcmp (op, "==") == 0 || strcmp (op, "!=") == 0;
    allowed_t allowed = {.wildcard = equality,
                         .local = equality,
                         .single = strcmp (op, "~=") != 0};
    return s_version (self, allowed, out);
}

static bool s_specifiers (parser_t *self, usi_buf_t *out)
{
    s_skip_blanks (self);
    char next = s_peek (self);
    if (next == '\0' || next == ';')
        return true;
    if (next == '@')
        return s_refuse (self, "URLs and paths are not accepted");
    if (!strchr ("(=!<>~", next))
        return s_refuse (self, "only extras, versions or a marker may follow the name");

    bool is_closed = s_take (self, '(');
    if (is_closed && s_take (self, ')'))
        return true;
    parts_t specifiers = {0};
    bool ok;
    do {
        ok = s_parts_next (self, &specifiers) && s_specifier (self, &specifiers.text);
    } while (ok && s_take (self, ','));
    if (ok && is_closed && !s_take (self, ')'))
        ok = s_refuse (self, "the closing ) is missing");
    if (ok)
        s_put_parts (&specifiers, out);
    usi_buf_free (&specifiers.text);
    return ok;
}

/* --- markers ----------------------------------------------------------------------- */

/* What a written part of a marker is, from tight to loose. */
typedef enum binding { BIND_NONE, BIND_TERM, BIND_AND, BIND_OR } binding_t;

static binding_t s_marker (parser_t *self, usi_buf_t *out);

static const char *const s_variables[] = {"python_version",
                                          "python_full_version",
                                          "os_name",
                                          "sys_platform",
                                          "platform_release",
                                          "platform_system",
                                          "platform_version",
                                          "platform_machine",
                                          "platform_python_implementation",
                                          "implementation_name",
                                          "implementation_version",
                                          "extra",
                                          NULL};

/* The word at the cursor, letters, digits and _; not taken. */
static usi_bytes_t s_word (parser_t *self)
{
    s_skip_blanks (self);
    const char *at = self->at;
    while (at < self->end && (s_is_alnum (*at) || *at == '_'))
        at++;
    return usi_bytes (self->at, (size_t) (at - self->at));
}

static bool s_take_keyword (parser_t *self, const char *keyword)
{
    usi_bytes_t word = s_word (self);
    if (!usi_bytes_equal (word, usi_bytes_of (keyword)))
        return false;
    self->at += word.len;
    return true;
}

/* In double quotes, unless it holds one. */
static bool s_quoted (parser_t *self, usi_buf_t *out)
{
    char quote = *self->at++;
    const char *begin = self->at;
    while (self->at < self->end && *self->at != quote && *self->at != '\\')
        self->at++;
    if (s_peek (self) != quote)
        return s_refuse (self, "a text in a marker is not closed or holds a backslash");
    size_t len = (size_t) (self->at++ - begin);
    char as = len && memchr (begin, '"', len) ? '\'' : '"';
    s_put (out, as);
    usi_buf_append (out, begin, len);
    s_put (out, as);
    return true;
}

static bool s_value (parser_t *self, bool *is_variable, usi_buf_t *out)
{
    s_skip_blanks (self);
    *is_variable = false;
    if (s_peek (self) == '"' || s_peek (self) == '\'')
        return s_quoted (self, out);
    usi_bytes_t word = s_word (self);
    for (const char *const *name = s_variables; *name; name++)
        if (usi_bytes_equal (word, usi_bytes_of (*name))) {
            self->at += word.len;
            usi_buf_text (out, *name);
            *is_variable = true;
            return true;
        }
    return s_refuse (self,
                     "a marker compares variables like python_version with texts");
}

static bool s_marker_operator (parser_t *self, usi_buf_t *out)
{
    const char *op = s_operator (self);
    if (op)
        usi_buf_text (out, op);
    else if (s_take_keyword (self, "in"))
        usi_buf_text (out, " in ");
    else if (s_take_keyword (self, "not") && s_take_keyword (self, "in"))
        usi_buf_text (out, " not in ");
    else
        return s_refuse (self, "a marker needs a comparison");
    return true;
}

static binding_t s_term (parser_t *self, usi_buf_t *out)
{
    if (s_take (self, '(')) {
        if (++self->depth > MAX_DEPTH) {
            s_refuse (self, "parentheses are too deep");
            return BIND_NONE;
        }
        binding_t inner = s_marker (self, out);
        self->depth--;
        if (inner != BIND_NONE && !s_take (self, ')')) {
            s_refuse (self, "the closing ) of a marker is missing");
            return BIND_NONE;
        }
        return inner;
    }
    bool left, right;
    if (!s_value (self, &left, out) || !s_marker_operator (self, out) ||
        !s_value (self, &right, out))
        return BIND_NONE;
    if (!left && !right) {
        s_refuse (self, "a marker compares variables like python_version with texts");
        return BIND_NONE;
    }
    return BIND_TERM;
}

/* Parentheses around what was written since begin. */
static void s_wrap (usi_buf_t *out, size_t begin)
{
    s_put (out, ')');
    s_put (out, ')');
    if (out->failed)
        return;
    memmove (out->data + begin + 1, out->data + begin, out->len - begin - 1);
    out->data[begin] = '(';
}

/* An operand of `and` keeps parentheses only where it is an `or`. */
static binding_t s_and (parser_t *self, usi_buf_t *out)
{
    size_t begin = out->len;
    binding_t first = s_term (self, out);
    if (first == BIND_NONE || !s_take_keyword (self, "and"))
        return first;
    if (first == BIND_OR)
        s_wrap (out, begin);
    do {
        usi_buf_text (out, " and ");
        begin = out->len;
        binding_t next = s_term (self, out);
        if (next == BIND_NONE)
            return BIND_NONE;
        if (next == BIND_OR)
            s_wrap (out, begin);
    } while (s_take_keyword (self, "and"));
    return BIND_AND;
}

static binding_t s_marker (parser_t *self, usi_buf_t *out)
{
    binding_t first = s_and (self, out);
    if (first == BIND_NONE || !s_take_keyword (self, "or"))
        return first;
    do {
        usi_buf_text (out, " or ");
        if (s_and (self, out) == BIND_NONE)
            return BIND_NONE;
    } while (s_take_keyword (self, "or"));
    return BIND_OR;
}

/* --- the whole ----------------------------------------------------------------------- */

static bool s_check_text (parser_t *self)
{
    if (self->end - self->at > MAX_LEN)
        return s_refuse (self, "longer than 512 bytes");
    for (const char *at = self->at; at < self->end; at++) {
        if ((unsigned char) *at >= 0x7f)
            return s_refuse (self, "not plain ASCII");
        if (*at < ' ' && *at != '\t')
            return s_refuse (self, "a line break or control character");
    }
    s_skip_blanks (self);
    if (self->at == self->end)
        return s_refuse (self, "empty");
    if (*self->at == '-')
        return s_refuse (self, "options are not accepted");
    if (*self->at == '.' || *self->at == '/' || *self->at == '~')
        return s_refuse (self, "URLs and paths are not accepted");
    return true;
}

static bool s_requirement (parser_t *self, usi_buf_t *out)
{
    if (!s_check_text (self) || !s_name (self, out))
        return false;
    if (s_peek (self) == '/' || s_peek (self) == ':' || s_peek (self) == '+')
        return s_refuse (self, "URLs and paths are not accepted");
    if (!s_extras (self, out) || !s_specifiers (self, out))
        return false;
    if (s_take (self, ';')) {
        usi_buf_text (out,
                      " ; "); /* blanks: to older pips ; belongs to a === version */
        if (s_marker (self, out) == BIND_NONE)
            return false;
    }
    s_skip_blanks (self);
    return self->at == self->end ||
           s_refuse (self, "something stands behind the requirement");
}

us_err_t usi_requirement_normalise (usi_bytes_t text, usi_buf_t *out, const char **why)
{
    const char *begin = text.len ? (const char *) text.data : "";
    parser_t parser = {.at = begin, .end = begin + text.len};
    size_t len = out->len;
    bool ok = s_requirement (&parser, out);
    /* The canonical form may be longer (.dev becomes .dev0), and is read again. */
    if (ok && out->len - len > MAX_LEN)
        ok = s_refuse (&parser, "longer than 512 bytes");
    if (!ok || out->failed)
        out->len = len;
    if (why)
        *why = out->failed ? us_err_text (US_ERR_NOMEM) : parser.why;
    return out->failed ? US_ERR_NOMEM : ok ? US_OK : US_ERR_REQUIREMENT;
}

us_err_t usi_requirements_normalise (const usi_bytes_t *texts, size_t count,
                                     usi_buf_t *out, size_t *bad, const char **why)
{
    us_err_t err = US_OK;
    usi_buf_t lines = {0};
    usi_bytes_t *sorted = NULL;
    size_t *begin = NULL;
    size_t at = 0;
    const char *reason = NULL;

    if (count > MAX_SET) {
        at = MAX_SET;
        reason = "more than 1000 requirements";
        err = US_ERR_REQUIREMENT;
        goto out;
    }
    if (count == 0)
        goto out;
    begin = calloc (count + 1, sizeof *begin);
    sorted = calloc (count, sizeof *sorted);
    if (!begin || !sorted) {
        err = US_ERR_NOMEM;
        goto out;
    }
    for (at = 0; at < count; at++) {
        err = usi_requirement_normalise (texts[at], &lines, &reason);
        if (err != US_OK)
            goto out;
        begin[at + 1] = lines.len;
    }
    /* Only now, because the buffer moves while it grows. */
    for (size_t i = 0; i < count; i++)
        sorted[i] = usi_bytes (lines.data + begin[i], begin[i + 1] - begin[i]);
    s_put_sorted (sorted, count, '\n', out);
    if (out->failed)
        err = US_ERR_NOMEM;

out:
    if (bad)
        *bad = err == US_OK ? 0 : at;
    if (why)
        *why = err == US_ERR_NOMEM ? us_err_text (err) : reason;
    free (begin);
    free (sorted);
    usi_buf_free (&lines);
    return err;
}
