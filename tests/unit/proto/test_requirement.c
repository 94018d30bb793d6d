/* SPDX-License-Identifier: MIT
 *
 * The grammar of requirements: golden canonical forms, and what is refused. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/requirement.h"

static us_err_t s_normalise (usi_bytes_t text, char *out, size_t size, const char **why)
{
    usi_buf_t buf = {0};
    us_err_t err = usi_requirement_normalise (text, &buf, why);
    snprintf (out, size, "%.*s", (int) buf.len, buf.data ? (char *) buf.data : "");
    usi_buf_free (&buf);
    return err;
}

static void s_accept (const char *text, const char *expected)
{
    char out[1024];
    const char *why = NULL;
    us_err_t err = s_normalise (usi_bytes_of (text), out, sizeof out, &why);
    if (err != US_OK)
        fail_msg ("'%s' is refused: %s", text, why);
    assert_string_equal (out, expected);
    /* The canonical form is its own. */
    assert_int_equal (s_normalise (usi_bytes_of (expected), out, sizeof out, &why),
                      US_OK);
    assert_string_equal (out, expected);
    assert_null (why);
}

static void s_refuse_bytes (usi_bytes_t text)
{
    char out[1024];
    const char *why = NULL;
    us_err_t err = s_normalise (text, out, sizeof out, &why);
    if (err != US_ERR_REQUIREMENT)
        fail_msg ("'%.*s' gives %d, '%s'", (int) text.len, text.data, err, out);
    assert_non_null (why);
    assert_string_equal (out, "");
}

static void s_refuse (const char *text)
{
    s_refuse_bytes (usi_bytes_of (text));
}

static void test_names (void **state)
{
    (void) state;
    s_accept ("pytz", "pytz");
    s_accept ("PyTZ", "pytz");
    s_accept (" \tpytz  ", "pytz");
    s_accept ("a", "a");
    s_accept ("7zip", "7zip");
    s_accept ("ruamel.yaml", "ruamel-yaml");
    s_accept ("Zope__Interface", "zope-interface");
    s_accept ("a-_.b", "a-b");
}

static void test_extras (void **state)
{
    (void) state;
    s_accept ("requests[]", "requests");
    s_accept ("requests [ socks , Security_X,socks ]", "requests[security-x,socks]");
    s_accept ("a[b]>=1", "a[b]>=1");
    s_refuse ("a[");
    s_refuse ("a[b");
    s_refuse ("a[b,]");
    s_refuse ("a[,b]");
    s_refuse ("a[b c]");
    s_refuse ("a]b");
}

static void test_specifiers (void **state)
{
    (void) state;
    s_accept ("a==1.0", "a==1.0");
    s_accept ("a == 1.*", "a==1.*");
    s_accept ("a!=1.2.*,>= 1 , < 2", "a!=1.2.*,<2,>=1");
    s_accept ("a (>=1,<2)", "a<2,>=1");
    s_accept ("a()", "a");
    s_accept ("a~=1.4.2", "a~=1.4.2");
    s_accept ("a===1.0+whatever-Build", "a===1.0+whatever-build");
    s_accept ("a>=1,>=1", "a>=1");
    s_accept ("a==v01.007", "a==1.7");
    s_accept ("a==1!2.0", "a==1!2.0");
    s_accept ("a==1.0-Alpha.3", "a==1.0a3");
    s_accept ("a==1.0beta", "a==1.0b0");
    s_accept ("a==1.0preview2", "a==1.0rc2");
    s_accept ("a==1.0c1", "a==1.0rc1");
    s_accept ("a==1.0-1", "a==1.0.post1");
    s_accept ("a==1.0rev", "a==1.0.post0");
    s_accept ("a==1.0a1_post2-dev3", "a==1.0a1.post2.dev3");
    s_accept ("a==1.0+Ubuntu-1_2", "a==1.0+ubuntu.1.2");
    s_accept ("a==0", "a==0");
}

static void test_bad_specifiers (void **state)
{
    (void) state;
    static const char *const bad[] = {
        "a 1.0",   "a=1.0",     "a==",    "a==x",       "a==1..2",    "a==1.",
        "a>=1.*",  "a~=1",      "a~=1.*", "a==1.0a1.*", "a==1.0.*+x", "a>=1.0+local",
        "a==1.0+", "a==1.0+x.", "a===",   "a>=1,",      "a>=1,,<2",   "a,>=1",
        "a(>=1",   "a>=1)",     "a<>1",   "a==1 ==2",   "a>=1 <2",    "a==1!",
        "a=>1",    "a==1.0foo", "a==*",   "a==.1",      "a(>=1)<2",   "a==1.0 b",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        s_refuse (bad[i]);
}

static void test_markers (void **state)
{
    (void) state;
    s_accept ("a ; python_version < '3.9'", "a ; python_version<\"3.9\"");
    s_accept ("a>=1;os_name=='nt' or(os_name == 'posix')",
              "a>=1 ; os_name==\"nt\" or os_name==\"posix\"");
    s_accept ("a;(os_name=='a' or os_name=='b') and extra=='c'",
              "a ; (os_name==\"a\" or os_name==\"b\") and extra==\"c\"");
    s_accept ("a;extra=='c' and (os_name=='a' or (os_name=='b'))",
              "a ; extra==\"c\" and (os_name==\"a\" or os_name==\"b\")");
    s_accept ("a;((os_name=='a' and os_name=='b')) or extra=='c'",
              "a ; os_name==\"a\" and os_name==\"b\" or extra==\"c\"");
    s_accept ("a;'linux' in sys_platform", "a ; \"linux\" in sys_platform");
    s_accept ("a;sys_platform not  in 'x y'", "a ; sys_platform not in \"x y\"");
    s_accept ("a;platform_version=='say \"x\"'", "a ; platform_version=='say \"x\"'");
    s_accept ("a;python_full_version~='3.9.1'", "a ; python_full_version~=\"3.9.1\"");
}

static void test_bad_markers (void **state)
{
    (void) state;
    static const char *const bad[] = {
        "a;",
        "a; ",
        "a;python_version",
        "a;python_version<",
        "a;python_version<3.9",
        "a;python_version<'3.9",
        "a;'3.9'<'4'",
        "a;nonsense=='1'",
        "a;os.name=='nt'",
        "a;os_name=='nt' and",
        "a;os_name=='nt' os_name=='nt'",
        "a;(os_name=='nt'",
        "a;os_name=='nt')",
        "a;os_name not 'nt'",
        "a;os_name=='n\\'t'",
        "a;os_name=='nt';os_name=='nt'",
        "; rm -rf /",
        "a; rm -rf /",
        "a;((((((((((((((((((os_name=='nt'))))))))))))))))))",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        s_refuse (bad[i]);
}

static void test_hostile (void **state)
{
    (void) state;
    static const char *const bad[] = {
        "",
        "   ",
        "--index-url=http://evil",
        "-r /etc/passwd",
        "-e .",
        "-rx",
        "$(id)",
        "`id`",
        "a|b",
        "a&b",
        "requests @ file:///x",
        "requests@https://x/y.whl",
        "git+ssh://host@--upload-pack=x",
        "https://x/y.whl",
        "file:x",
        "./x",
        "../x",
        "/etc/passwd",
        "~/x",
        "x/y",
        "C:\\x",
        "a==1 --hash=md5:00",
        "a==1 \\",
        "a==1\n--index-url=x",
        "a\rb",
        "a\nb",
        "a\n",
        "\x1b[31ma",
        "a\x7f",
        "caf\xc3\xa9",
        "p\xd0\xb0ndas", /* a Cyrillic a */
        "\xef\xbc\xa1",  /* a full-width A */
        "a\xc2\xa0==1",  /* a no-break space */
        "a\xff",
        "-a",
        "a-",
        "_a",
        "a.",
        "#a",
        "a # comment",
        "a'b",
        "a%b",
        "a*",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        s_refuse (bad[i]);
    s_refuse_bytes (usi_bytes ("a\0b", 3));
    s_refuse_bytes (usi_bytes (NULL, 0));
}

static void test_long (void **state)
{
    (void) state;
    char text[600];
    memset (text, 'a', sizeof text);
    s_refuse_bytes (usi_bytes (text, 513));
    char out[1024];
    assert_int_equal (s_normalise (usi_bytes (text, 512), out, sizeof out, NULL),
                      US_OK);

    usi_buf_t bomb = {0};
    usi_buf_text (&bomb, "a[b0");
    for (int i = 1; i < 33; i++)
        usi_buf_printf (&bomb, ",b%d", i);
    usi_buf_text (&bomb, "]");
    s_refuse_bytes (usi_buf_bytes (&bomb));
    usi_buf_free (&bomb);
}

/* Found by fuzzing: the canonical form was over the limit, so the node refused what the
 * client had accepted. */
static void test_long_only_in_canonical_form (void **state)
{
    (void) state;
    char text[512], out[1024];
    memset (text, '1', sizeof text);
    memcpy (text, "a==", 3);
    memcpy (text + 508, ".dev", 4);
    s_refuse_bytes (usi_bytes (text, 512));
    memcpy (text + 507, ".dev", 4);
    assert_int_equal (s_normalise (usi_bytes (text, 511), out, sizeof out, NULL),
                      US_OK);
    assert_int_equal (strlen (out), 512);
}

/* Any prefix and any one changed byte of a good text ends in an answer, and what is accepted
 * is canonical. */
static void test_corrupt (void **state)
{
    (void) state;
    static const char good[] = "Req.uests[b,a]>=1.0a1,!=2.*;(os_name=='nt' or "
                               "python_version<'3.9') and extra=='x'";
    char text[sizeof good], once[1024], twice[1024];
    for (size_t i = 0; i < sizeof good - 1; i++)
        for (int byte = 0; byte < 256; byte++) {
            memcpy (text, good, sizeof good);
            text[i] = (char) byte;
            usi_bytes_t whole = usi_bytes (text, sizeof good - 1);
            if (s_normalise (whole, once, sizeof once, NULL) != US_OK)
                continue;
            assert_int_equal (s_normalise (usi_bytes_of (once), twice, sizeof twice,
                                           NULL),
                              US_OK);
            assert_string_equal (once, twice);
        }
    for (size_t len = 0; len < sizeof good - 1; len++)
        s_normalise (usi_bytes (good, len), once, sizeof once, NULL);
}

static void test_set (void **state)
{
    (void) state;
    usi_bytes_t texts[] = {usi_bytes_of ("b>=1"), usi_bytes_of ("A_x"),
                           usi_bytes_of ("a.X"), usi_bytes_of ("b <2")};
    usi_buf_t out = {0};
    size_t bad = 9;
    const char *why = NULL;
    assert_int_equal (usi_requirements_normalise (texts, 4, &out, &bad, &why), US_OK);
    usi_buf_append (&out, "", 1);
    assert_string_equal ((char *) out.data, "a-x\nb<2\nb>=1");
    usi_buf_free (&out);

    assert_int_equal (usi_requirements_normalise (NULL, 0, &out, &bad, &why), US_OK);
    assert_int_equal (out.len, 0);

    texts[2] = usi_bytes_of ("-r x");
    assert_int_equal (usi_requirements_normalise (texts, 4, &out, &bad, &why),
                      US_ERR_REQUIREMENT);
    assert_int_equal (bad, 2);
    assert_non_null (why);
    assert_int_equal (out.len, 0);
    usi_buf_free (&out);
}

static void test_large_set (void **state)
{
    (void) state;
    usi_bytes_t *texts = calloc (10000, sizeof *texts);
    for (size_t i = 0; i < 10000; i++)
        texts[i] = usi_bytes_of (i % 2 ? "pkg-a==1.0" : "pkg.b");
    usi_buf_t out = {0};
    size_t bad = 0;
    assert_int_equal (usi_requirements_normalise (texts, 10000, &out, &bad, NULL),
                      US_ERR_REQUIREMENT);
    assert_int_equal (bad, 1000);
    assert_int_equal (usi_requirements_normalise (texts, 1000, &out, &bad, NULL),
                      US_OK);
    assert_int_equal (out.len, strlen ("pkg-a==1.0\npkg-b"));
    usi_buf_free (&out);
    free (texts);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_names),
        cmocka_unit_test (test_extras),
        cmocka_unit_test (test_specifiers),
        cmocka_unit_test (test_bad_specifiers),
        cmocka_unit_test (test_markers),
        cmocka_unit_test (test_bad_markers),
        cmocka_unit_test (test_hostile),
        cmocka_unit_test (test_long),
        cmocka_unit_test (test_long_only_in_canonical_form),
        cmocka_unit_test (test_corrupt),
        cmocka_unit_test (test_set),
        cmocka_unit_test (test_large_set),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
