# SPDX-License-Identifier: MIT
"""The worker runtime: runs jobs on a node. docs/worker-protocol.md is its contract.

main        what the node daemon starts: loads the runtime, becomes the zygote
zygote      forks workers
worker      takes jobs from the daemon and sends results back
calls       from code in an envelope to something that can be called
bundles     source bundles: found in the cache, held there, put on sys.path
trees       the files of a bundle on disk: unpacked, and examined before they are used
streams     stdout, stderr and logging, put in order again after each job
leftovers   what a job may leave behind: directory, handlers, children, threads
shell       shell jobs
failures    from an exception to a failure envelope
system      the few things that Python has no call for

Runs on any CPython from 3.9 on, with the standard library alone. Of the package it uses
exceptions, _msgpack, _context, _wrapper and _envelope.
"""
