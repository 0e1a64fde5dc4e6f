#!/bin/sh
# Builds the server with the C# compiler of an SDK, without NuGet: make.sh DOTNET HOME.
set -eu
dotnet=$(readlink -f "$1")
home=$2
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
export DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1 LD_LIBRARY_PATH="$home/openssl"
root=$(dirname "$dotnet")
sdk=$("$dotnet" --version)
roslyn=$root/sdk/$sdk/Roslyn/bincore
# 3.1 of 3.1.102, 8.0 of 8.0.408.
version=$(echo "$sdk" | cut -d. -f1,2)
major=${version%%.*}

# What is compiled against: the reference assemblies of the SDK, or the framework itself.
references=$home/references
mkdir -p "$references"
for framework in Microsoft.NETCore.App Microsoft.AspNetCore.App; do
    for folder in "$root/packs/$framework.Ref/$version".*/ref/* "$root/shared/$framework/$version".*; do
        [ -d "$folder" ] || continue
        cp "$folder"/*.dll "$references"
        break
    done
done
[ -f "$references/System.Runtime.dll" ] || { echo "no assemblies of .NET $version below $root" >&2; exit 1; }
cp "$roslyn/Microsoft.CodeAnalysis.dll" "$roslyn/Microsoft.CodeAnalysis.CSharp.dll" "$home"

# Before .NET 6 there are no handlers of POSIX signals.
define=NONE
[ "$major" -lt 6 ] || define=POSIX_SIGNALS
csc() {
    "$dotnet" exec "$roslyn/csc.dll" -nologo -noconfig -nostdlib -optimize -debug- -langversion:8 -nowarn:618,1591,1701,1702 \
        -define:$define "$@"
}
# All assemblies of a folder, as options in a file.
against() { for file in "$1"/*.dll; do echo "-r:\"$file\""; done >"$2"; }
framework=@$home/framework.options
against "$references" "$home/framework.options"
csc "$framework" -target:library -out:"$home/Fission.DotNetCore.Api.dll" "$home/api/DotNetCore.cs" "$home/api/Settings.cs"
csc "$framework" -target:library -out:"$home/Fission.DotNet.Common.dll" "$home/api/DotNet.cs" "$home/api/Json.cs"
csc "$framework" -target:exe -out:"$home/server.dll" -r:"$home/Fission.DotNetCore.Api.dll" -r:"$home/Fission.DotNet.Common.dll" \
    -r:"$home/Microsoft.CodeAnalysis.dll" -r:"$home/Microsoft.CodeAnalysis.CSharp.dll" "$home"/server/*.cs

# A function as a project builds it, for the server to warm itself up with.
mkdir -p "$home/warm/built"
csc "$framework" -target:library -out:"$home/warm/built/Function.dll" -r:"$home/Fission.DotNetCore.Api.dll" "$home/warm/DotNetCore.cs"
cat >"$home/warm/built/Function.deps.json" <<DEPS
{
  "runtimeTarget": { "name": ".NETCoreApp,Version=v$version" },
  "targets": { ".NETCoreApp,Version=v$version": { "Function/1.0.0": { "runtime": { "Function.dll": {} } } } },
  "libraries": { "Function/1.0.0": { "type": "project", "serviceable": false, "sha512": "" } }
}
DEPS

# What projects for .NET Standard, or for an older .NET than this one, are compiled against: never loaded.
mkdir -p "$home/standard"
for folder in "$root"/packs/NETStandard.Library.Ref/2.1.*/ref/netstandard2.1; do
    [ -d "$folder" ] || continue
    against "$folder" "$home/standard.options"
    for api in DotNetCore:Fission.DotNetCore.Api DotNet:Fission.DotNet.Common; do
        csc "@$home/standard.options" -refonly -target:library -out:"$home/standard/${api#*:}.dll" "$home/api/${api%:*}.cs"
    done
    break
done

rm -f "$home/framework.options" "$home/standard.options"

# One collector thread and no background collection: an instance serves one function and should start fast and stay
# small. Methods with loops are translated quickly first like all others.
cat >"$home/server.runtimeconfig.json" <<CONFIG
{
  "runtimeOptions": {
    "framework": { "name": "Microsoft.AspNetCore.App", "version": "$version.0" },
    "configProperties": {
      "System.GC.Concurrent": false,
      "System.GC.Server": false,
      "System.Runtime.TieredCompilation.QuickJitForLoops": true,
      "System.Runtime.TieredPGO": false
    }
  }
}
CONFIG
