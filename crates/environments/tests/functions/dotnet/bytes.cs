using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Fission.DotNetCore.Api;

public class FissionFunction
{
    public byte[] Execute(FissionContext context)
    {
        var every = new byte[256];
        for (var value = 0; value < every.Length; value++) every[value] = (byte)value;
        return every;
    }
}
