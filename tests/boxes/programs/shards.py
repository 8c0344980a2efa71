"""Writes a shard for each client, and something for the server."""

from fedwright_crds.box import Box


def main(argv):
    folder = Box.here().handover("shards")
    for client in range(int(argv[0])):
        folder.joinpath(f"client-{client}.txt").write_text(str(10 + client))
    folder.joinpath("server.txt").write_text("for the server")
