# SPDX-License-Identifier: Apache-2.0
#
# aio.py - asynchronous writes as the kernel has them (io_submit), which Python has not

import ctypes
import os
import platform
import struct

# io_setup, io_destroy, io_getevents, io_submit
NUMBERS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
PWRITE = 1
CONTROL_BLOCK = struct.Struct("<QIIHhIQQqQII")

libc = ctypes.CDLL(None, use_errno=True)


def is_known():
    return platform.machine() in NUMBERS


def call(which, *arguments):
    result = libc.syscall(ctypes.c_long(NUMBERS[platform.machine()][which]), *arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Queue:
    """Writes are submitted, and waited for; with-statement."""

    def __enter__(self):
        self.context = ctypes.c_ulong(0)
        call(0, 64, ctypes.byref(self.context))
        return self

    def __exit__(self, *_):
        call(1, self.context)

    def write(self, fd, buffer, offset):
        """buffer: a ctypes array that outlives the write."""
        at = ctypes.addressof(buffer)
        fields = (0, 0, 0, PWRITE, 0, fd, at, len(buffer), offset, 0, 0, 0)
        block = ctypes.create_string_buffer(CONTROL_BLOCK.pack(*fields))
        pointer = ctypes.c_void_p(ctypes.addressof(block))
        call(3, self.context, ctypes.c_long(1), ctypes.byref(pointer))

    def wait(self):
        """The result of one that is done."""
        event = ctypes.create_string_buffer(32)
        call(2, self.context, ctypes.c_long(1), ctypes.c_long(1), event, None)
        result = struct.unpack("<QQqq", event.raw)[2]
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result
