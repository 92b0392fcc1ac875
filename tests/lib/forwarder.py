"""forwarder.py DEVICE MS REORDER FD: holds back each packet that comes out of a TUN device, then puts it back in.

Each packet waits MS milliseconds, REORDER percent of them twice as long, so that later ones overtake them.  A byte is
written to FD once the device is open.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
PACKET_MAX = 65535
HELD_MAX = 20000  # packets; what comes beyond is lost, as in any queue


def main(device, ms, reorder, ready):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    os.write(ready, b"+")
    os.close(ready)
    held, count, random_number = [], 0, random.Random(1)
    poll = select.poll()
    poll.register(tun, select.POLLIN)
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) * 1000 if held else None
        poll.poll(wait if wait is None else int(wait) + 1)
        now = time.monotonic()
        try:
            while len(held) < HELD_MAX:
                packet = os.read(tun, PACKET_MAX)
                late = 2 if random_number.uniform(0, 100) < reorder else 1
                heapq.heappush(held, (now + late * ms / 1000, count, packet))
                count += 1
        except BlockingIOError:
            pass
        while held and held[0][0] <= now:
            try:
                os.write(tun, heapq.heappop(held)[2])
            except OSError:
                pass  # the way on is gone: the packet is lost


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
