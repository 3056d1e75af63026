-- Sends requests that were rendered before, in rotation, and prints what came of them as one line of JSON.
-- The file holds each request behind its length, 4 bytes, little-endian.
local requests, turn = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  local at = 1
  while at <= #text do
    local a, b, c, d = text:byte(at, at + 3)
    local size = a + 256 * (b + 256 * (c + 256 * d))
    requests[#requests + 1] = text:sub(at + 4, at + 3 + size)
    at = at + 4 + size
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "median_ms": %.4f, "failed": %d, "not_2xx": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000,
    e.connect + e.read + e.write + e.timeout, e.status))
end
