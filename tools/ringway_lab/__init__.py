"""The lab: a small service mesh in network namespaces, for quickstart, check, compare and the end-to-end tests.

net.py      namespaces, veth pairs, processes inside them, and their removal whatever happens
task.py     backends: nginx tasks that answer with their name, and the odd ones (backend.py)
backend.py  a backend program for what nginx does not do: slow, broken, hashing, upgrading
h2_backend.py, node_h2.js, grpc_backend.py, grpc_client.py  the same over HTTP/2, by three libraries, and of gRPC
mesh.py     the example of Service Connect laid out: who is where, who is called what
gateway.py  what stands in the middle: Ringway, or HAProxy or nginx for comparison
rough.py    one leg of the mesh made bad: loss, reordering, duplicates, corruption, a policer
load.py     clients that count every request and every failure
build.py    meson build trees
"""
