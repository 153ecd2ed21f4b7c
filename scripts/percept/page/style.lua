--- page.style: the style sheet of a report.
local plot = require "percept.plot"

local sheet = [[
:root{--ground:#fff;--panel:#f6f7f9;--line:#e1e5ea;--text:#1c2430;--muted:#5b6675;--link:#0060a8;--good:#17713c;
--goodback:#dff5e6;--bad:#b3261e;--badback:#fde8e6;--warn:#8a5a00;--warnback:#fdf0d5}
@media(prefers-color-scheme:dark){:root{--ground:#0f1419;--panel:#171d25;--line:#2a323d;--text:#e6e9ee;--muted:#9aa5b4;
--link:#6cb6f5;--good:#6fd795;--goodback:#12301f;--bad:#ff8f86;--badback:#3a1a18;--warn:#f0c05a;--warnback:#352a10}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 64px}
h1{font-size:clamp(22px,4vw,30px);line-height:1.2;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:19px;line-height:1.3;margin:40px 0 12px;padding-bottom:6px;border-bottom:1px solid var(--line)}
h3{font-size:15px;margin:22px 0 8px}
p{margin:8px 0}
a{color:var(--link)}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.87em}
.lead{color:var(--muted);margin:0 0 18px;overflow-wrap:anywhere}
.muted{color:var(--muted)}
.badge{display:inline-block;border-radius:99px;padding:1px 10px;font-size:13px;font-weight:600;vertical-align:3px;
background:var(--panel);color:var(--muted);margin-left:8px}
.badge.done{background:var(--goodback);color:var(--good)}
.badge.failed,.badge.killed{background:var(--badback);color:var(--bad)}
.badge.running,.badge.queued,.badge.stale{background:var(--warnback);color:var(--warn)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,150px),1fr));margin:16px 0;
background:var(--panel);border:1px solid var(--line);border-radius:10px;overflow:hidden}
.facts>div{padding:9px 14px;min-width:0;box-shadow:.5px .5px 0 .5px var(--line)}
.facts dt{color:var(--muted);font-size:12.5px}
.facts dd{margin:0;font-weight:600;overflow-wrap:anywhere}
.facts{margin-inline:0}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:14px;margin:14px 0 0}
.scroll{overflow-x:auto;margin:10px 0;border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:6px 12px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{background:var(--panel);font-weight:600;vertical-align:bottom}
.w{white-space:nowrap}
.scroll td{min-width:84px}
.wide .card svg{max-width:680px;margin:0 auto}
tbody tr:last-child>*{border-bottom:0}
tbody th{font-weight:500;white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th.c{text-align:center}
td .sd{color:var(--muted)}
tr.best td,tr.best th{background:var(--goodback)}
td b{font-weight:700}
table.pairs th{width:34%;font-weight:500;color:var(--muted);white-space:normal;overflow-wrap:anywhere}
table.pairs td{overflow-wrap:anywhere}
.halves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:0 14px;align-items:start}
tr.group td,tr.group th{border-top:2px solid var(--line)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:14px;margin:12px 0}
.card{border:1px solid var(--line);border-radius:10px;overflow:hidden;margin:0;min-width:0;background:var(--ground)}
.card svg{display:block;width:100%;height:auto}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:14px;margin:14px 0}
figure.wide{grid-column:1/-1}
figure.picture{margin:0;display:flex;flex-direction:column;background:#fff;border:1px solid var(--line);border-radius:10px;overflow:hidden}
figure.picture img{display:block;max-width:100%;height:auto;margin:auto;min-width:0}
figcaption{padding:7px 14px;color:var(--muted);font-size:13px;background:var(--panel);overflow-wrap:anywhere}
pre{margin:10px 0;padding:12px 14px;background:var(--panel);border:1px solid var(--line);border-radius:10px;overflow-x:auto;
line-height:1.45;white-space:pre-wrap;overflow-wrap:anywhere}
pre.error{border-color:var(--bad)}
pre.long{max-height:420px;overflow:auto;white-space:pre}
details{margin:10px 0}
summary{cursor:pointer;font-weight:600;padding:4px 0}
footer{margin-top:48px;color:var(--muted);font-size:13px}
@media(max-width:600px){main{padding:18px 14px 48px}th,td{padding:6px 9px}h2{margin-top:32px}}
@media print{main{max-width:none;padding:0}.scroll{overflow:visible}}
]]

--- CSS text; plots in it follow the theme.
return function()
  return sheet .. "@media(prefers-color-scheme:dark){\n" .. plot.css("dark", ".plot") .. "}\n"
end
