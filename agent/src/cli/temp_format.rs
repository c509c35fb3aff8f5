use crate::profile::{Profile,FrameKind};
pub struct Options{pub lines:bool,pub threads:bool,pub addresses:bool}
pub fn folded(p:&Profile,o:&Options)->Vec<u8>{
 let mut m=std::collections::BTreeMap::new();
 for (k,t) in p.samples(){ let pr=&p[k.process]; let mut s=format!("{} {}",&p[pr.name],pr.id.pid);
  for f in p.frames_of(k.stack).iter().rev(){ let f=&p[*f]; s.push(';');
   let path=f.executable.map(|e|p[p[e].path].rsplit('/').next().unwrap_or("").to_owned()).unwrap_or_default();
   match f.function{Some(n)=>{s.push_str(&p[p[n].name]); if f.kind==FrameKind::Kernel{s.push_str("_[k]")} if f.kind==FrameKind::Python&&o.lines{s.push_str(&format!(" ({}:{})",&p[p[n].file],f.line.unwrap_or(0)))} if o.addresses&&f.kind==FrameKind::Native{s.push_str(&format!(" [{}+{:#x}]",path,f.svma))}},
    None=>s.push_str(&format!("{}+{:#x}",path,f.svma))}}
  *m.entry(s).or_insert(0u64)+=t.weight;}
 let mut out=String::new(); for (s,n) in m{out.push_str(&format!("{s} {n}\n"))} out.into_bytes()}
pub fn flamegraph(_p:&Profile,_o:&Options,_s:u64)->anyhow::Result<Vec<u8>>{anyhow::bail!("not yet")}
