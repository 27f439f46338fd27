const config = await (await fetch("./config.json")).json();
document.title = config.name;
