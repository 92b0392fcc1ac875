// Evaluates a PAC file as browsers do: node pac.js FILE, a JSON list of [url, host] on stdin; prints the answers as JSON.
// The helpers that would look a name up or know IPv4 only are there, and end the test when they are called.
const fs = require("fs");
const vm = require("vm");

const helpers = {};
for (const name of ["dnsResolve", "dnsResolveEx", "isResolvable", "isResolvableEx", "isInNet", "isInNetEx", "myIpAddress", "myIpAddressEx"])
  helpers[name] = () => {
    throw new Error(`${name} was called`);
  };
helpers.isPlainHostName = (host) => !host.includes(".") && !host.includes(":");
helpers.dnsDomainIs = (host, domain) => host.endsWith(domain);
helpers.localHostOrDomainIs = (host, full) => host === full || full.startsWith(host + ".");
helpers.dnsDomainLevels = (host) => host.split(".").length - 1;
helpers.shExpMatch = (text, glob) =>
  new RegExp("^" + glob.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".") + "$").test(text);

const context = vm.createContext(helpers);
vm.runInContext(fs.readFileSync(process.argv[2], "utf8"), context, { timeout: 5000 });
const asked = JSON.parse(fs.readFileSync(0, "utf8"));
console.log(JSON.stringify(asked.map(([url, host]) => context.FindProxyForURL(url, host))));
