// fetch() by Node through a proxy agent: node fetch.js PROXY URL…; prints status and body of each.
const { fetch, ProxyAgent } = require("undici");

async function main([proxy, ...urls]) {
  const dispatcher = new ProxyAgent({ uri: proxy, requestTls: { ca: require("fs").readFileSync(process.env.CA) } });
  for (const url of urls) {
    const response = await fetch(url, { dispatcher });
    console.log(response.status, (await response.text()).length);
  }
  await dispatcher.close();
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.cause || error);
  process.exit(1);
});
