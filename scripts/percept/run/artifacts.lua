--- artifacts: where the files of a run lie, and which of them may be opened.
-- A database says what it likes about paths. Opened is what lies in the run's own folder (<db without .db>.runs/<uid>, links
-- resolved) and is a regular file; a database that moved together with that folder is followed.
local files = require "percept.files"

local artifacts = {}

--- The folder of a run's files, links resolved; nil when there is none, or when it is a link to somewhere else.
function artifacts.folder(db, uid)
  if not uid:find "^[%w_-][%w_.-]*$" then return nil end
  local base = files.real((db:gsub("%.db$", "")) .. ".runs")
  local folder = base and files.real(base .. "/" .. uid)
  return folder == (base and base .. "/" .. uid) and folder or nil
end

local function inside(path, folder)
  local real = files.real(path)
  if not real or real:sub(1, #folder + 1) ~= folder .. "/" then return nil end
  local st = files.stat(real)
  return st and st.kind == "file" and real or nil
end

--- Where a file that a run's row names lies now; nil and the reason when it may not be opened or is gone.
function artifacts.find(db, uid, path)
  local folder = artifacts.folder(db, uid)
  if not folder then return nil, "the run has no folder" end
  local tail = path:match("/" .. uid:gsub("[%-.]", "%%%0") .. "/(.+)$")
  local here = db:match "^(.*)/[^/]*$" or "."
  local places = {path:sub(1, 1) == "/" and path or here .. "/" .. path, path, tail and folder .. "/" .. tail}
  for i = 1, 3 do
    local file = places[i] and inside(places[i], folder)
    if file then return file end
  end
  local there = files.stat(path)
  return nil, there and "lies outside of the run's folder" or "is gone"
end

return artifacts
