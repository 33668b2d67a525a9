"""What Redis does in one step for the trust log: each script happens whole or not at all.

The newest entry of the stream is the head, so that no counter can disagree with it. The epoch's
value is 8 random bytes and the time at which they were drawn, epoch ms, big-endian.
"""

from typing import Final

NOT_NEWER: Final = -1
MOVED_ON: Final = -2
NEW_EPOCH: Final = -3

# PERSIST changes nothing, but only a primary that may write takes it: a demoted one says so.
_HEAD: Final = """
local function head_of(log)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  return last[1] and tonumber(string.match(last[1][1], '^%d+')) or 0
end
"""

READ: Final = (
    _HEAD
    + """
redis.call('PERSIST', KEYS[1])
local epoch = redis.call('GET', KEYS[1])
if not epoch or #epoch ~= 16 then
  local now = redis.call('TIME')
  epoch = ARGV[1] .. struct.pack('>I8', now[1] * 1000 + math.floor(now[2] / 1000))
  redis.call('SET', KEYS[1], epoch)
end
local entries = redis.call('XRANGE', KEYS[2], ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])
return {epoch, head_of(KEYS[2]), entries}
"""
)
"""Keys: epoch, log. Arguments: an epoch to begin where there is none, first place, count."""

# A shared record starts with its sequence, so that it can be compared without reading the rest.
# What is logged already is kept apart from what is shared: a hub that read the newest record shares
# it at once, maybe before the change is in the log, and must not keep it out.
APPEND: Final = (
    _HEAD
    + """
local function is_newer(new, kept)
  return not kept or #kept < 8 or struct.unpack('>I8', kept) < struct.unpack('>I8', new)
end
local epoch = redis.call('GET', KEYS[1])
if not epoch or string.sub(epoch, 1, 8) ~= ARGV[1] then return -3 end
if ARGV[3] ~= '' then
  if not is_newer(ARGV[4], redis.call('HGET', KEYS[6], ARGV[3])) then return -1 end
end
local head = head_of(KEYS[2])
if head ~= tonumber(ARGV[2]) then return -2 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], (head + 1) .. '-0', 'e', ARGV[5])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[6], ARGV[3], ARGV[4])
  if is_newer(ARGV[4], redis.call('HGET', KEYS[3], ARGV[3])) then
    redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
  end
  if is_newer(ARGV[4], redis.call('GET', KEYS[4])) then
    redis.call('SET', KEYS[4], string.sub(ARGV[4], 1, 8))
  end
end
redis.call(ARGV[7], KEYS[5], ARGV[5])
return head + 1
"""
)
"""Keys: epoch, log, records, chain sequence, channel, logged. Arguments: epoch, the head that is
expected, wallet and shared record (empty: none), entry, entries kept, PUBLISH or SPUBLISH."""

ROTATE: Final = (
    _HEAD
    + """
local epoch = redis.call('GET', KEYS[1])
if not epoch or string.sub(epoch, 1, 8) ~= ARGV[1] then return 0 end
local last = redis.call('GET', KEYS[3])
if ARGV[2] ~= '' and (not last or #last ~= 8
    or struct.unpack('>I8', last) < struct.unpack('>I8', ARGV[2])) then
  redis.call('SET', KEYS[3], ARGV[2])
end
redis.call('DEL', KEYS[1])
local head = head_of(KEYS[2])
if head == 0 then
  redis.call('DEL', KEYS[2])
  return 1
end
local info = redis.call('XINFO', 'STREAM', KEYS[2])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' and info[i + 1] ~= head .. '-0' then
    local kept = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[3])
    redis.call('DEL', KEYS[2])
    for j = #kept, 1, -1 do
      redis.call('XADD', KEYS[2], kept[j][1], unpack(kept[j][2]))
    end
  end
end
return 1
"""
)
"""Keys: epoch, log, chain sequence. Arguments: the epoch that is over, the chain sequence that
stands from now on (empty: as it is), entries kept. Whoever reads next begins another epoch, behind
the newest entry that is left: a stream that lost its end is made anew, or it would take no entry in
the place of the lost ones."""

TRIM: Final = (
    _HEAD
    + """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local newest = redis.call('LINDEX', KEYS[2], -1)
if newest and ms - struct.unpack('>I8', newest) < tonumber(ARGV[1]) then return 0 end
local head = head_of(KEYS[1])
redis.call('RPUSH', KEYS[2], struct.pack('>I8I8', ms, head))
local old
while ms - struct.unpack('>I8', redis.call('LINDEX', KEYS[2], 0)) >= tonumber(ARGV[2]) do
  old = redis.call('LPOP', KEYS[2])
end
if not old then return 0 end
local _, place = struct.unpack('>I8I8', old)
return redis.call('XTRIM', KEYS[1], 'MINID', math.min(place, head) .. '-0')
"""
)
"""Keys: log, notes of (time, head). Arguments: ms between notes, ms that entries are kept. Whoever
comes first in each interval does it for all."""

PUT: Final = """
for i = 1, #ARGV, 2 do
  local kept = redis.call('HGET', KEYS[1], ARGV[i])
  if not kept or #kept < 8
    or struct.unpack('>I8', kept) <= struct.unpack('>I8', ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return 0
"""
"""Key: records. Arguments: wallet, shared record, and so on."""

TURN: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Key: turn. Arguments: who asks, ms that a turn lasts without asking. Answers 1 at its turn."""
