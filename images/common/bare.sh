# The base without what no program needs: package installers, interpreters beside Python, setuid programs. What stays of the
# standard library is compiled: nobody can write it later.
set -eu
stdlib=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')

find / -xdev -depth -path '*-packages/*' \
    \( -name 'pip' -o -name 'pip-*' -o -name 'setuptools' -o -name 'setuptools-*' -o -name 'wheel' -o -name 'wheel-*' \
    -o -name 'pkg_resources' -o -name '_distutils_hack' -o -name 'distutils-precedence.pth' \) -exec rm -rf {} +
for part in ensurepip idlelib lib2to3 pydoc_data tkinter turtledemo test; do rm -rf "${stdlib:?}/$part"; done
rm -rf "$stdlib"/config-3* /usr/include /usr/local/include /usr/share/python-wheels /etc/pip.conf
rm -rf /usr/local/bin/pip* /usr/local/bin/wheel /usr/bin/pip* /usr/bin/wheel
rm -rf /usr/bin/apt* /usr/lib/apt /usr/lib/x86_64-linux-gnu/libapt-* /usr/share/bash-completion /usr/share/perl* /usr/bin/perl* \
    /usr/lib/x86_64-linux-gnu/perl* /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info \
    /usr/lib/x86_64-linux-gnu/gconv /var/lib/dpkg/info
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
find / -xdev -type f -name '*.pyc' -path "$stdlib/*" -delete
PYTHONHASHSEED=0 python -m compileall -q -j 1 --invalidation-mode unchecked-hash -x '/(site|dist)-packages/' "$stdlib"
rm -rf /tmp/* /var/log/* /var/cache/* /var/lib/apt
