/* SPDX-License-Identifier: MIT
 *
 * Settings from argv, variables and files. */
#include "unit.h"

#include <czmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "temp.h"
#include "understudy/version.h"

static const usi_setting_t s_settings[] = {
    {"broker", 'b', "ADDRESS", "tcp://127.0.0.1:7420", "where the brokers are", true},
    {"slots", 's', "N", "2", "how many jobs at once", false},
    {"cache-limit", 300, "SIZE", NULL, "how large the cache may grow", false},
    {"wait", 301, "TIME", "15s", "how long to wait", false},
    {"insecure", 302, NULL, NULL, "listen anywhere", false},
    {0},
};

static char s_folder[80];

static usi_config_t *s_new (void)
{
    usi_config_t *config = usi_config_new ("node", s_settings);
    assert_non_null (config);
    return config;
}

/* Writes a file in the test's folder; the path is static. */
static const char *s_write (const char *name, const char *text, size_t len)
{
    static char path[256];
    snprintf (path, sizeof path, "%s/%s", s_folder, name);
    FILE *file = fopen (path, "w");
    assert_non_null (file);
    assert_int_equal (fwrite (text, 1, len, file), len);
    fclose (file);
    return path;
}

static usi_config_t *s_load (const char *text)
{
    usi_config_t *config = s_new ();
    us_err_t err = usi_config_load (config, s_write ("one.conf", text, strlen (text)));
    if (err != US_OK)
        fail_msg ("%s", usi_config_error (config));
    return config;
}

/* The error of a file, without the folder before its name. */
static void s_assert_error_of (const char *text, size_t len, const char *expected)
{
    usi_config_t *config = s_new ();
    const char *path = s_write ("bad.conf", text, len);
    assert_int_equal (usi_config_load (config, path), US_ERR_CONFIG);
    assert_string_equal (usi_config_error (config) + strlen (s_folder) + 1, expected);
    usi_config_destroy (&config);
    assert_null (config);
}

static void s_assert_error (const char *text, const char *expected)
{
    s_assert_error_of (text, strlen (text), expected);
}

static int s_clean_variables (void **state)
{
    (void) state;
    static const char *const names[] = {"BROKER", "SLOTS",    "CACHE_LIMIT",
                                        "WAIT",   "INSECURE", "CONFIG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf (name, sizeof name, "UNDERSTUDY_%s", names[i]);
        unsetenv (name);
    }
    setenv ("XDG_CONFIG_HOME", s_folder, 1);
    setenv ("HOME", s_folder, 1);
    return 0;
}

static int s_make_folder (void **state)
{
    (void) state;
    usi_log_set_level (US_LOG_ERROR); /* unknown names are warned of, often */
    temp_template (s_folder, sizeof s_folder);
    return mkdtemp (s_folder) ? 0 : -1;
}

static int s_remove_folder (void **state)
{
    (void) state;
    /* zdir leaves alone what is hidden. */
    zdir_t *hidden = zdir_new (".config", s_folder);
    zdir_remove (hidden, true);
    zdir_destroy (&hidden);
    zdir_t *folder = zdir_new (s_folder, NULL);
    zdir_remove (folder, true);
    zdir_destroy (&folder);
    return access (s_folder, F_OK) == 0;
}

static void test_defaults (void **state)
{
    (void) state;
    usi_config_t *config = s_new ();
    assert_int_equal (usi_config_load (config, NULL), US_OK);
    assert_string_equal (usi_config_get (config, "slots"), "2");
    assert_false (usi_config_is_set (config, "slots"));
    assert_null (usi_config_get (config, "cache-limit"));
    assert_null (usi_config_get (config, "no-such-setting"));
    assert_false (usi_config_switch (config, "insecure"));
    assert_int_equal (usi_config_count (config, "broker"), 1);
    assert_null (usi_config_item (config, "broker", 1));
    uint64_t bytes = 7;
    assert_int_equal (usi_config_bytes (config, "cache-limit", &bytes), US_OK);
    assert_int_equal (bytes, 0);
    assert_string_equal (usi_config_error (config), "");
    usi_config_destroy (&config);
}

static const char s_golden[] = "# A comment\n"
                               "broker = tcp://a:1  # for all\n"
                               "\n"
                               "slots = 3\n"
                               "cache = /srv   # another program's\n"
                               "broker\n"
                               "    slots = 9\n"
                               "    bind = tcp://*:1\n"
                               "node   # ours\r\n"
                               "    slots = 4\n"
                               "    broker = \"tcp://b:2 #x\"\n"
                               "    broker = 'tcp://c:3,tcp://d:4' # more\n"
                               "    insecure\n"
                               "    cache-limit=10G";

static void test_file (void **state)
{
    (void) state;
    usi_config_t *config = s_load (s_golden);
    assert_string_equal (usi_config_get (config, "slots"), "4");
    assert_true (usi_config_is_set (config, "slots"));
    assert_int_equal (usi_config_count (config, "broker"), 3);
    assert_string_equal (usi_config_item (config, "broker", 0), "tcp://b:2 #x");
    assert_string_equal (usi_config_item (config, "broker", 2), "tcp://d:4");
    assert_true (usi_config_switch (config, "insecure"));
    uint64_t bytes;
    assert_int_equal (usi_config_bytes (config, "cache-limit", &bytes), US_OK);
    assert_int_equal (bytes, (uint64_t) 10 << 30);
    usi_config_destroy (&config);
}

/* czmq reads the same from the same text. */
static void test_file_is_zpl (void **state)
{
    (void) state;
    zconfig_t *root = zconfig_str_load (s_golden);
    assert_non_null (root);
    assert_string_equal (zconfig_get (root, "node/slots", ""), "4");
    assert_string_equal (zconfig_get (root, "node/broker", ""), "tcp://b:2 #x");
    assert_string_equal (zconfig_get (root, "node/cache-limit", ""), "10G");
    assert_string_equal (zconfig_get (root, "slots", ""), "3");
    zconfig_destroy (&root);
}

static void test_other_sections_do_not_count (void **state)
{
    (void) state;
    usi_config_t *config = s_load ("broker\n    slots = 9\nslots = 3\n");
    assert_string_equal (usi_config_get (config, "slots"), "3");
    usi_config_destroy (&config);
}

static void test_malformed_files (void **state)
{
    (void) state;
    s_assert_error ("slots = 1\n  wait = 3\n",
                    "bad.conf:2: the indent is not a multiple of four spaces");
    s_assert_error ("node\n\tslots = 1\n", "bad.conf:2: a tab; indent by four spaces");
    s_assert_error ("    slots = 1\n",
                    "bad.conf:1: 'slots' is indented, but no section stands above it");
    s_assert_error ("node\n    a = 1\n        slots = 1\n",
                    "bad.conf:3: 'slots' is indented too deep");
    s_assert_error ("slots 3\n", "bad.conf:1: an equals sign must follow the name");
    s_assert_error ("= 3\n", "bad.conf:1: a line begins with the name of a setting");
    s_assert_error ("slots = \"3\n", "bad.conf:1: the closing quote is missing");
    s_assert_error ("slots = '3' 4\n",
                    "bad.conf:1: there is more behind the closing quote");
    s_assert_error ("\n\ninsecure = perhaps\n",
                    "bad.conf:3: insecure = 'perhaps' is not yes or no");
    s_assert_error_of ("a = 1\nb\0c\n", 10, "bad.conf:2: a NUL byte");
    s_assert_error ("\xef\xbb\xbfslots = 1\n",
                    "bad.conf:1: a line begins with the name of a setting");
}

/* Whatever stands in a file: an answer. */
static void test_corrupt_files (void **state)
{
    (void) state;
    char text[sizeof s_golden];
    for (size_t i = 0; i < sizeof s_golden - 1; i += 3)
        for (int byte = 0; byte < 256; byte += 5) {
            memcpy (text, s_golden, sizeof text);
            text[i] = (char) byte;
            usi_config_t *config = s_new ();
            us_err_t err = usi_config_load (config, s_write ("corrupt.conf", text,
                                                             sizeof text - 1));
            assert_true (err == US_OK || err == US_ERR_CONFIG);
            usi_config_destroy (&config);
        }
}

static void test_named_file_must_be_there (void **state)
{
    (void) state;
    usi_config_t *config = s_new ();
    assert_int_equal (usi_config_load (config, "/nowhere/understudy.conf"),
                      US_ERR_CONFIG);
    assert_string_equal (usi_config_error (config),
                         "/nowhere/understudy.conf: No such file or directory");
    usi_config_destroy (&config);

    config = s_new ();
    setenv ("UNDERSTUDY_CONFIG", s_folder, 1);
    assert_int_equal (usi_config_load (config, NULL), US_ERR_CONFIG);
    usi_config_destroy (&config);
}

static void test_search_order (void **state)
{
    (void) state;
    char path[256];
    snprintf (path, sizeof path, "%s/.config", s_folder);
    mkdir (path, 0700);
    snprintf (path, sizeof path, "%s/.config/understudy", s_folder);
    mkdir (path, 0700);
    s_write (".config/understudy/understudy.conf", "slots = 11\n", 11);
    unsetenv ("XDG_CONFIG_HOME");
    usi_config_t *config = s_new ();
    assert_int_equal (usi_config_load (config, NULL), US_OK);
    assert_string_equal (usi_config_get (config, "slots"), "11");
    usi_config_destroy (&config);

    setenv ("UNDERSTUDY_CONFIG", s_write ("named.conf", "slots = 12\n", 11), 1);
    config = s_new ();
    assert_int_equal (usi_config_load (config, NULL), US_OK);
    assert_string_equal (usi_config_get (config, "slots"), "12");
    usi_config_destroy (&config);
}

static void test_flag_then_variable_then_file (void **state)
{
    (void) state;
    char path[256];
    snprintf (path, sizeof path, "%s",
              s_write ("order.conf", "slots = 3\nwait = 1h\nbroker = tcp://a:1\n", 39));
    setenv ("UNDERSTUDY_SLOTS", "5", 1);
    setenv ("UNDERSTUDY_BROKER", "tcp://b:1, tcp://c:1,", 1);
    setenv ("UNDERSTUDY_CACHE_LIMIT", "", 1);
    setenv ("UNDERSTUDY_INSECURE", "no", 1);
    char *argv[] = {"understudy-node", "--config", path,     "-s",   "6",
                    "--insecure",      "command",  "--help", "rest", NULL};
    usi_config_t *config = s_new ();
    int rest = 0;
    assert_int_equal (usi_config_parse (config, 9, argv, "COMMAND", "A test", &rest),
                      US_OK);
    assert_int_equal (rest, 6);
    assert_string_equal (usi_config_get (config, "slots"), "6");
    assert_int_equal (usi_config_count (config, "broker"), 2);
    assert_string_equal (usi_config_item (config, "broker", 1), "tcp://c:1");
    assert_true (usi_config_switch (config, "insecure"));
    assert_false (usi_config_is_set (config, "cache-limit"));
    int64_t ms;
    assert_int_equal (usi_config_ms (config, "wait", &ms), US_OK);
    assert_int_equal (ms, 3600000);
    usi_config_destroy (&config);
}

static void test_repeated_flags (void **state)
{
    (void) state;
    char *argv[] = {"x", "-b", "tcp://a:1", "--broker=tcp://b:1,tcp://c:1", NULL};
    usi_config_t *config = s_new ();
    int rest;
    assert_int_equal (usi_config_parse (config, 4, argv, NULL, NULL, &rest), US_OK);
    assert_int_equal (rest, 4);
    assert_int_equal (usi_config_count (config, "broker"), 3);
    assert_string_equal (usi_config_item (config, "broker", 2), "tcp://c:1");
    usi_config_destroy (&config);
}

static us_err_t s_ms_of (const char *text, int64_t *ms)
{
    setenv ("UNDERSTUDY_WAIT", text, 1);
    usi_config_t *config = s_new ();
    assert_int_equal (usi_config_load (config, NULL), US_OK);
    us_err_t err = usi_config_ms (config, "wait", ms);
    if (err != US_OK)
        assert_non_null (strstr (usi_config_error (config), "UNDERSTUDY_WAIT="));
    usi_config_destroy (&config);
    return err;
}

static void test_numbers (void **state)
{
    (void) state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"0", 0},          {"5", 5000},       {"500ms", 500},
                {"24H", 86400000}, {"2d", 172800000}, {"3m", 180000}};
    static const char *const bad[] = {
        "x", "-1", " 1", "1 s", "1.5s", "10x", "99999999999999999999", "200000000000d"};
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal (s_ms_of (good[i].text, &ms), US_OK);
        assert_int_equal (ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal (s_ms_of (bad[i], &ms), US_ERR_CONFIG);
        assert_int_equal (ms, 0);
    }
}

static void test_uint_limit (void **state)
{
    (void) state;
    uint64_t slots;
    usi_config_t *config = s_load ("slots = 65\n");
    assert_int_equal (usi_config_uint (config, "slots", 65, &slots), US_OK);
    assert_int_equal (slots, 65);
    assert_int_equal (usi_config_uint (config, "slots", 64, &slots), US_ERR_CONFIG);
    assert_non_null (strstr (usi_config_error (config),
                             ":1: slots = '65' is not a number from 0 to 64"));
    usi_config_destroy (&config);
}

/* Exit code of a process that parses these arguments; its output goes to *text. */
static int s_run (char **argv, char *text, size_t size)
{
    int pipes[2];
    assert_int_equal (pipe (pipes), 0);
    pid_t pid = fork ();
    if (pid == 0) {
        dup2 (pipes[1], 1);
        dup2 (pipes[1], 2);
        int argc = 0;
        while (argv[argc])
            argc++;
        usi_config_t *config = usi_config_new ("node", s_settings);
        usi_config_parse (config, argc, argv, "", "What it is\vMore words.", NULL);
        _exit (99);
    }
    close (pipes[1]);
    size_t len = 0;
    ssize_t got;
    while ((got = read (pipes[0], text + len, size - 1 - len)) > 0)
        len += (size_t) got;
    text[len] = '\0';
    close (pipes[0]);
    int status;
    waitpid (pid, &status, 0);
    return WIFEXITED (status) ? WEXITSTATUS (status) : -1;
}

static void test_usage (void **state)
{
    (void) state;
    char text[8192];
    assert_int_equal (s_run ((char *[]){"x", "--nonsense", NULL}, text, sizeof text),
                      64);
    assert_int_equal (s_run ((char *[]){"x", "extra", NULL}, text, sizeof text), 64);
    assert_int_equal (s_run ((char *[]){"x", "--slots", NULL}, text, sizeof text), 64);
    assert_int_equal (s_run ((char *[]){"x", "--version", NULL}, text, sizeof text), 0);
    assert_non_null (strstr (text, US_VERSION_STRING));
    assert_int_equal (s_run ((char *[]){"x", "--help", NULL}, text, sizeof text), 0);
    assert_non_null (strstr (text, "--cache-limit=SIZE"));
    assert_non_null (strstr (text, "(default: 2)"));
    assert_non_null (strstr (text, "--config=FILE"));
    assert_non_null (strstr (text, "More words."));
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup (name, s_clean_variables)
    const struct CMUnitTest tests[] = {
        TEST (test_defaults),
        TEST (test_file),
        TEST (test_file_is_zpl),
        TEST (test_other_sections_do_not_count),
        TEST (test_malformed_files),
        TEST (test_corrupt_files),
        TEST (test_named_file_must_be_there),
        TEST (test_search_order),
        TEST (test_flag_then_variable_then_file),
        TEST (test_repeated_flags),
        TEST (test_numbers),
        TEST (test_uint_limit),
        TEST (test_usage),
    };
    return cmocka_run_group_tests (tests, s_make_folder, s_remove_folder);
}
