//! What runs inside Redis: each script is one atomic step.

use deadpool_redis::redis::Script;

/// `KEYS`: the lease, its floor, the mark of this Redis's memory. `ARGV`: holder, fencing, time to live;
/// what the process knows: floor, mark (the one to set if there is none), the mark it saw last, whether it
/// still teaches, and the other holder with fencing and time to live. A Redis that lost its memory is
/// told who held the lease before it gives it away.
const LEASE: &str = r"
local mark = redis.call('GET', KEYS[3])
if not mark then mark = ARGV[5]; redis.call('SET', KEYS[3], mark) end
local floor = redis.call('GET', KEYS[2]) or '0'
if tonumber(ARGV[4]) > tonumber(floor) then floor = ARGV[4] end
local held = redis.call('HMGET', KEYS[1], 'holder', 'fencing')
local forgot = ARGV[7] == '1' or (ARGV[6] ~= '' and ARGV[6] ~= mark)
if not held[1] and forgot and ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'holder', ARGV[8], 'fencing', ARGV[9])
  redis.call('PEXPIRE', KEYS[1], ARGV[10])
  held = {ARGV[8], ARGV[9]}
end
local fencing, answer = ARGV[2], nil
if held[1] and held[1] ~= ARGV[1] then
  answer = {mark, held[1], held[2], tostring(redis.call('PTTL', KEYS[1]))}
elseif fencing == '0' then
  if held[1] then fencing = held[2] end
elseif tonumber(fencing) < tonumber(floor) then
  answer = {mark, '', floor, '0'}
end
if not answer then
  redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'fencing', fencing)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  if tonumber(fencing) > tonumber(floor) then floor = fencing end
  answer = {mark, ARGV[1], fencing, ARGV[3]}
end
if floor ~= '0' then redis.call('SET', KEYS[2], floor, 'PX', ARGV[11]) end
return answer
";

/// `KEYS`: the lease, the mark. `ARGV`: the mark to set if there is none.
const HOLDER: &str = r"
local mark = redis.call('GET', KEYS[2])
if not mark then mark = ARGV[1]; redis.call('SET', KEYS[2], mark) end
local held = redis.call('HMGET', KEYS[1], 'holder', 'fencing')
return {mark, held[1] or '', held[2] or '0'}
";

/// `KEYS`: the lease. `ARGV`: the holder.
const RELEASE: &str = r"
if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
";

/// `KEYS`: the kind's index by end of life, its values. `ARGV`: name, value, time to live, most entries.
const APPEAR: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)
if #over > 0 then
  redis.call('ZREM', KEYS[1], unpack(over))
  redis.call('HDEL', KEYS[2], unpack(over))
end
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
  return 0
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < tonumber(ARGV[3]) then redis.call('PEXPIRE', key, ARGV[3]) end
end
return 1
";

/// `KEYS`: as above. `ARGV`: what names start with, how many at most.
const PRESENT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local names = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf', 'LIMIT', 0, ARGV[2])
local found = {}
for _, name in ipairs(names) do
  if string.sub(name, 1, #ARGV[1]) == ARGV[1] then
    local value = redis.call('HGET', KEYS[2], name)
    if value then found[#found + 1] = name; found[#found + 1] = value end
  end
end
return found
";

/// `KEYS`: the counter. `ARGV`: the window.
const COUNT: &str = r"
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]); left = ARGV[1] end
return {count, tonumber(left)}
";

/// The scripts, hashed once.
pub(super) struct Scripts {
    pub(super) lease: Script,
    pub(super) holder: Script,
    pub(super) release: Script,
    pub(super) appear: Script,
    pub(super) present: Script,
    pub(super) count: Script,
    pub(super) put: Script,
    pub(super) get: Script,
    pub(super) remove: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            lease: Script::new(LEASE),
            holder: Script::new(HOLDER),
            release: Script::new(RELEASE),
            appear: Script::new(APPEAR),
            present: Script::new(PRESENT),
            count: Script::new(COUNT),
            put: Script::new("return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])"),
            get: Script::new("return redis.call('GET', KEYS[1])"),
            remove: Script::new("return redis.call('DEL', KEYS[1])"),
        }
    }
}
